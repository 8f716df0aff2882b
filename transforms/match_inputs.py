"""Find the files that the INPUTs of a call name: each once, with size and time.

There are two kinds of files. A file that somebody *named* (by its name, by a glob, or on a line of standard input) gets
a row in any case. A file that was only *found* in a folder counts if its name ends like media or its content opens as
media. The filters `exclude`, `newer_than` and `limit` apply to both, `settle` to files that were found.
"""

import collections
import dataclasses
import enum
import fnmatch
import functools
import glob
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from schemas import storage
from schemas.errors import FacelogError, StorageError, UsageError
from schemas.storage import FileInfo
from transforms import media

_MAGIC = re.compile(r"[*?[]")


class PassedOver(enum.StrEnum):
    """Why a file or folder of an INPUT is not analyzed; the texts are for the summary."""

    OUTPUT = "the output folder itself"
    HIDDEN = "hidden (the name begins with a dot)"
    EXCLUDED = "excluded by --exclude"
    NOT_MEDIA = "no media file"
    UNSETTLED = "modified too recently (--settle)"
    OLDER = "not newer than --newer-than"
    TWICE = "reached twice by links"
    UNREADABLE = "folder that cannot be read"
    LIMIT = "beyond --limit"


@dataclasses.dataclass(frozen=True)
class Matched:
    """The files that the INPUTs of a call name.

    Attributes:
      files: by uri, each once.
      passed_over: how many files (or whole folders) were left out, by reason.
      missing: uri → reason, for lines of a list that name nothing and for names that no table can hold; each becomes a
        row with status `failed`.
      warnings: one sentence per folder that could not be read.
    """

    files: list[FileInfo]
    passed_over: dict[PassedOver, int] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)


def match_inputs(
    inputs: Sequence[str],
    *,
    out: str,
    exclude: Sequence[str] = (),
    newer_than: datetime | None = None,
    settle: float = 0,
    limit: int | None = None,
    stdin: TextIO | None = None,
    now: datetime | None = None,
    known: Collection[str] = frozenset(),
) -> Matched:
    """The files that a call means.

    Args:
      inputs: files, folders, globs, `-` (one name per line of standard input, or NUL between names), URLs. A name that
        exists is that file or folder, even if it has glob characters. Lines of a list are never globs.
      out: the output folder, not searched.
      exclude: globs; files and folders that they match by name or by whole path are left out.
      newer_than: only files modified after it.
      settle: seconds; a file found in a folder is left out if it was modified less than this ago, since it may still be
        written.
      limit: largest number of files, in the order of their uri.
      stdin: where `-` reads, default `sys.stdin`.
      now: the time of the call, default the clock's.
      known: uris that are known to be media (they have a row); their content is not looked at again.

    Raises:
      UsageError: an INPUT does not exist, or a glob matches nothing; the text names it.
      StorageError: it cannot be told whether an INPUT exists.
    """
    now = now or datetime.now(UTC)
    search = _Search(storage.normalize(out), tuple(exclude))
    if not inputs:
        raise UsageError("no INPUT: name files, folders, globs, URLs, or - for a list on standard input")
    for text in inputs:
        if text == "-":
            for line in _lines(stdin or sys.stdin):
                search.line(line)
        else:
            search.input(text)
    search.walk_folders()

    def wanted(file: FileInfo) -> bool:
        found = file.uri not in search.named
        age = (now - file.modified_at).total_seconds() if file.modified_at else None
        reason = None
        if newer_than and file.modified_at and file.modified_at <= newer_than:
            reason = PassedOver.OLDER
        # abs(): a file server's clock may be a little ahead. A file of next year would never settle, so it is taken.
        elif found and age is not None and abs(age) < settle:
            reason = PassedOver.UNSETTLED
        elif found and not (file.uri in known or media.is_named_as_media(file.uri) or media.sniff(file.uri)):
            reason = PassedOver.NOT_MEDIA
        return search.passes(reason)

    files = [file for file in search.unique_files() if wanted(file)]
    if limit is not None and len(files) > limit:
        search.passed_over[PassedOver.LIMIT] += len(files) - limit
        files = files[:limit]
    return Matched(files, dict(search.passed_over), search.missing, search.warnings)


class _Search:
    """The state of a search: named files, folders still to walk, found files."""

    def __init__(self, out: str, exclude: tuple[str, ...]) -> None:
        self.out, self.exclude = out, exclude
        self.named: dict[str, FileInfo] = {}
        self.found: dict[str, FileInfo] = {}
        self.folders: dict[str, None] = {}
        self.missing: dict[str, str] = {}
        self.warnings: list[str] = []
        self.passed_over: collections.Counter[PassedOver] = collections.Counter()
        self.real_folder = functools.cache(os.path.realpath)
        self.real_out = self.real(out)

    def real(self, uri: str) -> str:
        """The name without links. The folder's own is looked up once, which makes it cheap for all files in it."""
        if not storage.is_local(uri) or uri == "/":
            return uri
        folder, name = os.path.split(uri)
        return os.path.realpath(uri) if os.path.islink(uri) else os.path.join(self.real_folder(folder), name)

    def passes(self, reason: PassedOver | None) -> bool:
        """Counts a reason, if there is one; returns whether there is none."""
        if reason:
            self.passed_over[reason] += 1
        return reason is None

    def input(self, text: str) -> None:
        if not text:  # as an unset variable of a shell; "" would be the current folder
            raise UsageError("an INPUT is empty")
        uri = storage.normalize(text)
        if self.add(uri):
            return
        if not _MAGIC.search(text):
            raise UsageError(f"{text}: no such file or folder")
        matches = list(_glob(uri))
        if not matches:
            raise UsageError(f"{text}: nothing matches")
        for match in matches:
            if self.passes(PassedOver.OUTPUT if self.in_out(match) else None):
                self.add(match)

    def line(self, text: str) -> None:
        uri = storage.normalize(text)
        try:
            if not self.add(uri):
                self.missing[_readable(uri)] = f"{_readable(uri)} is on the list and does not exist"
        except FacelogError as error:
            self.missing[_readable(uri)] = str(error)

    def add(self, uri: str) -> bool:
        """Takes the file or folder of this name; returns whether it exists."""
        if storage.is_folder(uri):
            if self.passes(PassedOver.EXCLUDED if self.excluded(uri) else None):
                self.folders[uri] = None
            return True
        try:
            file = storage.stat(uri)
        except FileNotFoundError:
            return False
        except StorageError:
            if not storage.is_local(uri) or not os.path.exists(uri):
                raise
            file = FileInfo(uri, None, None)  # a pipe or device: its row will say so
        if self.passes(PassedOver.EXCLUDED if self.excluded(uri) else None):
            self.take(file, self.named)
        return True

    def take(self, file: FileInfo, where: dict[str, FileInfo]) -> None:
        if _readable(file.uri) == file.uri:
            where[file.uri] = file
        else:
            self.missing[_readable(file.uri)] = _why_unreadable(file.uri)

    def walk_folders(self) -> None:
        for folder in sorted(self.folders):
            if self.passes(PassedOver.OUTPUT if self.in_out(folder) else None):
                for file in storage.list_files(folder, skip=self.skip, unreadable=self.unreadable):
                    self.take(file, self.found)

    def skip(self, uri: str) -> bool:
        reason = None
        if self.in_out(uri):
            reason = PassedOver.OUTPUT
        elif os.path.basename(uri).startswith("."):
            reason = PassedOver.HIDDEN
        elif self.excluded(uri):
            reason = PassedOver.EXCLUDED
        return not self.passes(reason)

    def in_out(self, uri: str) -> bool:
        return f"{self.real(uri)}/".startswith(f"{self.real_out}/")

    def excluded(self, uri: str) -> bool:
        name = uri.rpartition("/")[2]
        return any(fnmatch.fnmatchcase(name, glob) or fnmatch.fnmatchcase(uri, glob) for glob in self.exclude)

    def rank(self, uri: str) -> tuple[bool, bool, str]:
        return os.path.islink(uri), self.real(uri) != uri, uri

    def unreadable(self, folder: str, error: StorageError) -> None:
        self.passed_over[PassedOver.UNREADABLE] += 1
        self.warnings.append(f"not searched: {error}")

    def unique_files(self) -> Iterator[FileInfo]:
        """All files by uri. Of several names of a file (by links), one is kept: a named one, its own, or the first."""
        taken = {self.real(uri) for uri in self.named}
        kept = dict(self.named)
        for uri in sorted(self.found.keys() - self.named.keys(), key=self.rank):
            real = self.real(uri)
            if self.passes(PassedOver.TWICE if real in taken else None):
                kept[uri] = self.found[uri]
                taken.add(real)
        return iter(sorted(kept.values(), key=lambda file: file.uri))


def _lines(stdin: TextIO) -> Iterator[str]:
    """Names from a list; names need not be UTF-8, and can hold newlines where NUL separates them (`find -print0`)."""
    buffer = getattr(stdin, "buffer", None)
    text = os.fsdecode(buffer.read()) if buffer else stdin.read()
    separator = "\0" if "\0" in text else "\n"
    for line in text.removeprefix("\ufeff").split(separator):
        name = line.removesuffix("\r") if separator == "\n" else line
        if name.strip():
            yield name


def _readable(uri: str) -> str:
    """The name as text that is valid UTF-8; bytes that are not are written as escapes."""
    return os.fsencode(uri).decode("utf-8", "backslashreplace")


def _why_unreadable(uri: str) -> str:
    name = _readable(uri)
    if os.fsencode(uri).decode("utf-8", "surrogateescape") == name:
        return (
            f"{name}: this process reads names as {sys.getfilesystemencoding()} and not as UTF-8; "
            "set PYTHONUTF8=1 or a locale of UTF-8"
        )
    return f"{name}: its name is no valid UTF-8, so no table can hold it; rename the file"


def _glob(pattern: str) -> Iterator[str]:
    """Files and folders that match a pattern; its leading parts that exist as they are written are taken literally."""
    parts = pattern.split("/")
    start = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
    if storage.is_local(pattern):
        while start < len(parts) - 1 and os.path.isdir("/".join(parts[: start + 1])):
            start += 1
        literal = glob.escape("/".join(parts[:start]))
        yield from sorted(glob.glob("/".join([literal, *parts[start:]]), recursive=True))
        return
    root, patterns = "/".join(parts[:start]), parts[start:]
    matches: set[str] = set()
    for file in storage.list_files(root):
        names = file.uri[len(root) + 1 :].split("/")
        depths = (depth for depth in range(1, len(names) + 1) if _match_parts(names[:depth], patterns))
        matches.update("/".join([root, *names[:depth]]) for depth in depths)
    yield from sorted(matches)


def _match_parts(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Matches like `glob.glob`: `*` ends at a slash and leaves out dot-files, `**` is any number of folders."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_match_parts(names[i:], patterns[1:]) for i in range(len(names) + 1))
    if not names or (names[0].startswith(".") and not patterns[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], patterns[0]) and _match_parts(names[1:], patterns[1:])
