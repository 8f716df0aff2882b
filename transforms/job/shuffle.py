"""What crosses a shuffle, made small.

Flink's runner holds all that a worker puts out in one step in the heap of its task manager until that worker is through
with the step, so bytes for each segment, times segments, have to fit there (docs/scaling.md). A segment that is pickled
alone says the names of its classes and fields anew each time; here they are in a dictionary that both ends know.
"""

import dataclasses
import pickle
import zlib
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from schemas.storage import FileInfo
from schemas.video import Clock, Plan, Segment

_FILE = FileInfo("", 0, datetime(2026, 1, 1, tzinfo=UTC), "")
_SEGMENT = Segment(_FILE, "", 0, Clock(0, 1, 1000), 0.0, 0.0, 0, 0, 0, 0.0)
_WORDS = pickle.dumps([Plan(_FILE, ""), _SEGMENT], protocol=5)
_LEVEL = 1
"""Fast: higher ones save three bytes of a hundred."""


def pack(value: Any) -> bytes:
    """Anything that can be pickled; 150 bytes for a Segment, 34 for each of a Plan of many (instead of 560 and 88)."""
    packer = zlib.compressobj(_LEVEL, zdict=_WORDS)
    return packer.compress(pickle.dumps(value, protocol=5)) + packer.flush()


def unpack(data: bytes) -> Any:
    """What `pack` packed, in a process of the same version."""
    unpacker = zlib.decompressobj(zdict=_WORDS)
    return pickle.loads(unpacker.decompress(data) + unpacker.flush())


@dataclasses.dataclass(eq=False)
class Deal(beam.PTransform):
    """The same elements, dealt out to all workers."""

    def expand(self, elements):
        return elements | "Pack" >> beam.Map(pack) | beam.Reshuffle() | "Unpack" >> beam.Map(unpack)


@dataclasses.dataclass(eq=False)
class Gather(beam.PTransform):
    """PCollections → one with the elements of all."""

    def expand(self, pcolls):
        packed = [pcoll | f"Pack{i}" >> beam.Map(pack) for i, pcoll in enumerate(pcolls)]
        return packed | beam.Flatten() | "Unpack" >> beam.Map(unpack)
