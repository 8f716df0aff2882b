"""Make elements small before they cross a shuffle.

Flink's runner keeps everything that a worker puts out in one step in the memory of its task manager until the worker
has finished the step, so the bytes of all segments have to fit there (docs/scaling.md). Each pickled segment repeats
the names of its classes and fields. Here these names are in a dictionary that both ends know.
"""

import dataclasses
import pickle
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from schemas.storage import FileInfo
from schemas.video import Clock, Plan, Segment

_FILE = FileInfo("", 0, datetime(2026, 1, 1, tzinfo=UTC), "")
_SEGMENT = Segment(_FILE, "", 0, Clock(0, 1, 1000), 0.0, 0.0, 0, 0, 0, 0.0)
_WORDS = pickle.dumps([Plan(_FILE, ""), _SEGMENT], protocol=5)
_LEVEL = 1
"""The fastest level; higher ones save three bytes of a hundred."""


def pack(value: Any) -> bytes:
    """Packs a value that can be pickled.

    A Segment takes 150 bytes, a segment of a Plan of many 34; pickled alone they take 560 and 88.
    """
    packer = zlib.compressobj(_LEVEL, zdict=_WORDS)
    return packer.compress(pickle.dumps(value, protocol=5)) + packer.flush()


def unpack(data: bytes) -> Any:
    """Unpacks what `pack` packed in a process of the same version."""
    unpacker = zlib.decompressobj(zdict=_WORDS)
    return pickle.loads(unpacker.decompress(data) + unpacker.flush())


@dataclasses.dataclass(eq=False)
class PackedReshuffle(beam.PTransform):
    """Distributes elements over all workers, as `beam.Reshuffle`; packed on the way."""

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        return elements | "Pack" >> beam.Map(pack) | beam.Reshuffle() | "Unpack" >> beam.Map(unpack)


@dataclasses.dataclass(eq=False)
class PackedFlatten(beam.PTransform):
    """Puts several PCollections into one, as `beam.Flatten`; packed on the way."""

    def expand(self, collections: Sequence[beam.PCollection[Any]]) -> beam.PCollection[Any]:
        packed = [each | f"Pack{i}" >> beam.Map(pack) for i, each in enumerate(collections)]
        return packed | beam.Flatten() | "Unpack" >> beam.Map(unpack)
