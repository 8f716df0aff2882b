"""One plain Beam pipeline in this process: no workers, no retries, no time limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runners.options import in_process_options

if TYPE_CHECKING:
    import apache_beam as beam


def run_direct(build: Callable[[beam.Pipeline], object]) -> None:
    """Builds a pipeline and runs it to its end on Beam's `FnApiRunner`.

    `FnApiRunner` runs stage by stage and keeps everything between two stages in memory; one exception ends the run.

    Args:
      build: applies transforms to the pipeline; its result is ignored.

    Raises:
      Exception: what a transform raised, with Beam's "[while running …]" added to its text; the original is its
        `__cause__`.
    """
    options = in_process_options()
    import apache_beam as beam  # 2–3 s; after in_process_options has silenced it
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
    build(pipeline)
    pipeline.run().wait_until_finish()
