"""A run of `analyze`: what its rows and footers say of it, and its record in `DIR/_work/run.json`."""

import contextlib
import dataclasses
import functools
import uuid
from datetime import UTC, datetime

import pydantic

from schemas import storage
from schemas.config import Config
from schemas.layout import Layout, Work
from schemas.tables import footer
from schemas.video import Plan

LIVE_RUNNER = "live"
"""Runner in the record of a call of `facelog live`."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What the rows and footers of a run say of it.

    Attributes:
      run_id: name of the run.
      config: its configuration.
      layout: names in the output folder.
    """

    run_id: str
    config: Config
    layout: Layout

    @classmethod
    def new(cls, out: str, config: Config) -> "Run":
        """A run that begins now, with a name of its own."""
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        return cls(run_id, config, Layout(out))

    @functools.cached_property
    def footer(self) -> dict[str, str]:
        """Texts of a file's footer."""
        return footer(self.config, self.run_id)

    @property
    def work(self) -> Work:
        """Names of the unfinished work of its configuration."""
        return self.layout.work_of(self.config.hash)

    @functools.cached_property
    def without_keyframes(self) -> "Run":
        """The same run with the same configuration but for the restriction to keyframes."""
        return dataclasses.replace(self, config=self.config.without_keyframes)

    def as_seen(self, plan: Plan) -> "Run":
        """The run as the rows of a file name it.

        A scan samples a picture, or a video that has nothing but keyframes, as a run without keyframes does. Its rows
        are the same, so they name that configuration, and such a run finds them done.
        """
        return self if plan.is_scan else self.without_keyframes


class RunRecord(pydantic.BaseModel):
    """What a run set out to do: `DIR/_work/run.json`.

    Attributes:
      run_id: name of the run.
      config_hash: of its configuration.
      runner: local, direct, flink, live, …
      command: the command line as it was typed.
      started_at: UTC.
      files: number of files to look at.
      bytes: size of these files together.
      share_before: share of the whole work, by bytes, in [0, 1], that earlier runs had done when this one began.
      seconds_before: seconds of video that earlier runs had done.
      finished_at: UTC; None while the run goes on, and if it was stopped.
    """

    run_id: str
    config_hash: str
    runner: str
    command: str
    started_at: datetime
    files: int
    bytes: int
    share_before: float = 0.0
    seconds_before: float = 0.0
    finished_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is a call of `facelog live`, which has no files and so no progress."""
        return self.runner == LIVE_RUNNER


def read_run(out: str) -> RunRecord | None:
    """The record of the run under way or of the last one; None if DIR has none that can be read."""
    with contextlib.suppress(FileNotFoundError, pydantic.ValidationError):
        return RunRecord.model_validate_json(storage.read_bytes(Layout(out).run))
    return None


def write_run(record: RunRecord, out: str) -> None:
    """Writes the record of a run in place of the one that was there."""
    storage.write_bytes(Layout(out).run, record.model_dump_json(indent=2).encode())


def end_run(run_id: str, out: str) -> None:
    """Notes in the record that a run has finished now; the record of another run stays as it is."""
    record = read_run(out)
    if record is not None and record.run_id == run_id:
        write_run(record.model_copy(update={"finished_at": datetime.now(UTC)}), out)
