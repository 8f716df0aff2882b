"""What tests do to the inside of a run: a `worker_init` after which reading some segments goes wrong."""

import dataclasses
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from schemas.config import Config
from schemas.video import Segment
from transforms import decode_frames
from transforms.samples import Sample, SegmentStream

_decode_segment = decode_frames.decode_segment  # here, because what replaces it is pickled and cannot bring it along


@dataclasses.dataclass(frozen=True)
class Hook:
    """Called in a process, it changes how segments are read there.

    Attributes:
      trail: file that gets a line, "name index", for each time that a segment is read; it outlives the process.
      harms: (name of a file, number of a segment) → what happens behind its first sample each time that it is read:
        `kill` the process, `hang`, or `change` the file.
    """

    trail: Path
    harms: Mapping[tuple[str, int], str] = dataclasses.field(default_factory=dict)

    def __call__(self) -> None:
        """Takes the place of `decode_segment`."""
        decode_frames.decode_segment = Decode(self)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same in this process, until the test is over."""
        monkeypatch.setattr(decode_frames, "decode_segment", Decode(self))

    def read(self) -> Counter[tuple[str, int]]:
        """How often each segment was read: (name, index) → times."""
        lines = self.trail.read_text().splitlines() if self.trail.exists() else []
        return Counter((name, int(index)) for name, index in (line.rsplit(" ", 1) for line in lines))


@dataclasses.dataclass(frozen=True)
class Decode:
    """`transforms.decode_frames.decode_segment` with a hook."""

    hook: Hook

    def __call__(self, segment: Segment, config: Config) -> SegmentStream:
        stream = _decode_segment(segment, config)
        return dataclasses.replace(stream, samples=self._spoil(stream.samples, segment))

    def _spoil(self, samples: Iterator[Sample], segment: Segment) -> Iterator[Sample]:
        path = Path(segment.file.uri)
        with self.hook.trail.open("a") as file:  # whole lines of two processes do not mix when they are appended
            file.write(f"{path.name} {segment.index}\n")
        harm = self.hook.harms.get((path.name, segment.index))
        for sample in samples:
            yield sample
            _do(harm, path)


def _do(harm: str | None, path: Path) -> None:
    match harm:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(1000)
        case "change":
            with path.open("ab") as file:
                file.write(b"\0" * 8)
