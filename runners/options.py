"""Names of runners, and Beam's options.

Beam's own `DirectRunner` is not what runs here: that name now means Prism, a binary that is downloaded at run time,
with a silent fallback. The in-process runner is named outright: `FnApiRunner`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from schemas.errors import UsageError

if TYPE_CHECKING:  # Beam takes 2–3 s to import; `facelog --help` should not wait for it
    from apache_beam.options.pipeline_options import PipelineOptions

RUNNERS = ("local", "direct", "flink")

# What Beam says through the root logger about things that do not matter here: `expand` may take and give tuples.
_NOISE = (
    "apitools not found",
    "Resource module is not available",
    "Waiting for grpc channel",
    "This input type hint will be ignored",
    "This output type hint will be ignored",
)


def parse_runner(name: str) -> str:
    """The runner that a name on the command line means.

    Args:
      name: `local`, `direct` or `flink`, or Beam's spelling (`DirectRunner`, `FnApiRunner`, `FlinkRunner`), upper or
        lower case.

    Returns:
      One of `RUNNERS`.

    Raises:
      UsageError: no such runner.
    """
    short = name.strip().lower().removesuffix("runner")
    short = "direct" if short == "fnapi" else short
    if short in RUNNERS:
        return short
    raise UsageError(
        f"--runner {name}: no such runner; use local (default), direct or flink, or call Dataflow, Spark or another "
        "Beam runner from Python as docs/other_runners.md shows"
    )


def in_process_options() -> PipelineOptions:
    """Options for a `FnApiRunner` in this process; without flags, so that Beam does not read `sys.argv`."""
    quiet_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([])


def beam_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Reads options that are written as on Beam's command line; options that Beam does not know are left out.

    Raises:
      UsageError: Beam refuses one.
    """
    quiet_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints all options that there are, then ends the process
            options: dict[str, Any] = PipelineOptions(list(arguments)).get_all_options(drop_default=True)
    except (SystemExit, ValueError) as error:
        why = said.getvalue().strip().rpartition("error: ")[2] or error
        raise UsageError(f"an option behind -- is not right: {why}") from None
    return options


def quiet_beam() -> None:
    """Keep Beam's remarks off the terminal; its exceptions still come, since the runner raises them.

    Beam logs every exception of a `DoFn` with its traceback and raises it as well. Call this before Beam is imported to
    be spared the remarks of its import, too.
    """
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    logging.getLogger("FlinkJarJobServer").setLevel(logging.WARNING)  # all that Java prints comes as INFO
    logging.getLogger().addFilter(_no_noise)  # the same function twice counts once
    warnings.filterwarnings("ignore", module=r"apache_beam\..*")


def _no_noise(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOISE)
