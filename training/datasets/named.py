"""Data sets whose labels are in the names of their files: pictures or clips of performers."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.clips import PLACES, ClipFrame
from training.datasets.files import Files

_LOOKED_AT = 200
"""Files by whose names a kind is recognized."""


class LeftOut(Exception):  # noqa: N818 (no error: the picture is counted)
    """A picture is left out; the text is the reason."""


@dataclasses.dataclass(frozen=True)
class NamedSet:
    """A kind of data set with labels in the file names.

    Pictures of the same person are in one group, so that no person is on both sides of a split, whatever folders the
    pictures are in.

    Attributes:
      kind: name of the kind.
      example: a file's name, for messages.
      name: what a file's name is, without its ending and in any case.
      labels: the labels by that name: `person`, which becomes the group, and fields of `LabelledPicture`. Raises
        LeftOut.
      clips: whether the files are videos, of which a few frames are taken.
      room: as `LabelledPicture.room`.
    """

    kind: str
    example: str
    name: re.Pattern[str]
    labels: Callable[[re.Match[str]], Mapping[str, Any]]
    clips: bool = False
    room: float | None = None

    def matches(self, files: Files) -> bool:
        """Whether most of the files have such names."""
        some = self._files(files)[:_LOOKED_AT] if not files.chosen else []
        return 2 * sum(self._match(name) is not None for name in some) > len(some)

    def read(self, files: Files) -> DataSet:
        """The pictures, or frames of the clips, at any depth.

        Raises:
          DataError: no file has such a name.
        """
        names = self._files(files)
        if all(self._match(name) is None for name in names):
            raise DataError(f"{files.root} has no {'clips' if self.clips else 'pictures'} such as {self.example}.")

        def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
            for name in names:
                match = self._match(name)
                try:
                    if match is None:
                        raise LeftOut("the name does not tell the emotion")
                    fields = dict(self.labels(match))
                except LeftOut as reason:
                    dropped[str(reason)] += len(PLACES) if self.clips else 1
                    continue
                fields["group"] = f"{self.kind}/{fields.pop('person')}"
                if self.clips:
                    yield from frames_of(name, files, room=self.room, **fields)
                else:
                    yield LabelledPicture(name, files.path(name), room=self.room, **fields)

        return DataSet(self.kind, files.root, samples, len(names) * (len(PLACES) if self.clips else 1))

    def _files(self, files: Files) -> list[str]:
        return files.clips if self.clips else files.pictures

    def _match(self, name: str) -> re.Match[str] | None:
        return self.name.fullmatch(stem(name).upper())


def frames_of(name: str, files: Files, **fields: Any) -> Iterator[LabelledPicture]:
    """The frames of a clip; `1001_DFA_ANG_XX.flv@50%` is the name of the one in the middle."""
    for place in PLACES:
        yield LabelledPicture(f"{name}@{place:.0%}", ClipFrame(files.path(name), place), **fields)


def stem(name: str) -> str:
    """A file's name without folders and ending."""
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def left_out(emotion: str) -> LeftOut:
    """The exception for an emotion that is none of the seven."""
    return LeftOut(none_of_ours(emotion))


def none_of_ours(emotion: str) -> str:
    """The reason by which pictures of other emotions are counted."""
    return f"{emotion} is none of the seven emotions"
