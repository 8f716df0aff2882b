"""Which files a run looks at."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TextIO

from transforms.match_inputs import Matched, match_inputs


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Which files a run looks at; see `transforms.match_inputs`.

    Attributes:
      inputs: files, folders, globs, URLs, or `-`.
      exclude: patterns of names or paths to leave out.
      limit: files at most.
      newer_than: only files modified after this, or younger than this when they are matched.
      settle: seconds for which a file found in a folder must not have been modified.
      stdin: where `-` is read from.
    """

    inputs: Sequence[str]
    exclude: Sequence[str] = ()
    limit: int | None = None
    newer_than: datetime | timedelta | None = None
    settle: float = 0.0
    stdin: TextIO | None = None

    def match(self, out: str, known: Sequence[str] = ()) -> Matched:
        """The files, as they are now."""
        now, newer_than = datetime.now(UTC), self.newer_than
        return match_inputs(
            self.inputs,
            out=out,
            exclude=self.exclude,
            newer_than=now - newer_than if isinstance(newer_than, timedelta) else newer_than,
            settle=self.settle,
            limit=self.limit,
            stdin=self.stdin,
            now=now,
            known=known,
        )

    @classmethod
    def of(cls, inputs: "Inputs | Sequence[str] | str") -> "Inputs":
        """One name, several, or what has filters already."""
        if isinstance(inputs, Inputs):
            return inputs
        return cls([inputs] if isinstance(inputs, str) else inputs)
