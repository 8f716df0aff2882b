"""The files of a data set in a folder or zip, and the rows of its tables, whose errors name file and row."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from training.datasets.base import READ_ERRORS, AnyPath, DataError, is_hidden

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm")
_CLIPS = (".avi", ".flv", ".mp4", ".mov", ".mkv", ".webm", ".mpg", ".mpeg")

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
      file: name of the table.
      number: line in the file; the header is line 1.
      values: text by column name in lower case; a column that the table does not have is empty.
    """

    file: str
    number: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    def wrong(self, reason: object) -> DataError:
        """An error that says what is wrong with this row."""
        return DataError(f"{self.file} row {self.number}: {reason}.")

    def parse(self, column: str, read: Callable[[str], _T]) -> _T:
        """A value, parsed by `read`.

        Raises:
          DataError: `read` raised ValueError.
        """
        try:
            return read(self[column])
        except ValueError as error:
            raise self.wrong(error) from None

    def number_in(self, column: str) -> float:
        """A value as a finite number.

        Raises:
          DataError: it is not a finite number.
        """
        try:
            number = float(self[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(f"{column} is '{self[column]}', expected a number")
        return number


class Files:
    """The files below a data set's root.

    Attributes:
      root: folder, or place inside a zip.
      chosen: name of the table that the user chose, if any; other tables are then ignored.
    """

    def __init__(self, root: AnyPath, chosen: str | None = None):
        """Lists no files yet."""
        self.root = root
        self.chosen = chosen

    def path(self, name: str) -> AnyPath:
        """Path of a file."""
        return self.root / name

    @functools.cached_property
    def names(self) -> list[str]:
        """Paths of all files below the root with `/`, sorted, without hidden files."""
        if isinstance(self.root, zipfile.Path):
            at = self.root.at
            listed = (name[len(at) :] for name in self.root.root.namelist() if name.startswith(at))
            return sorted({name for name in listed if name and name[-1] != "/" and not _hidden(name)})
        found = []
        for folder, inner, files in os.walk(self.root, followlinks=True):
            inner[:] = [name for name in inner if not is_hidden(name)]
            below = os.path.relpath(folder, self.root).replace(os.sep, "/") + "/"
            found += [(below + name).removeprefix("./") for name in files if not is_hidden(name)]
        return sorted(found)

    @functools.cached_property
    def pictures(self) -> list[str]:
        """Paths of all pictures, recognized by their names."""
        return [name for name in self.names if name.lower().endswith(_PICTURES)]

    @functools.cached_property
    def clips(self) -> list[str]:
        """Paths of all videos, recognized by their names."""
        return [name for name in self.names if name.lower().endswith(_CLIPS)]

    @functools.cached_property
    def by_last_name(self) -> dict[str, list[str]]:
        """Paths of all pictures by their names without folders, in lower case."""
        paths: dict[str, list[str]] = {}
        for path in self.pictures:
            paths.setdefault(path.rsplit("/", 1)[-1].lower(), []).append(path)
        return paths

    def at_any_depth(self, *endings: str) -> list[str]:
        """Paths of the files that end in one of these names, folders included, in any case."""
        lower = tuple(f"/{ending.lower()}" for ending in endings)
        return [name for name in self.names if f"/{name.lower()}".endswith(lower)]

    @functools.cached_property
    def top(self) -> list[str]:
        """Names of files and folders at the first level, sorted."""
        if isinstance(self.root, zipfile.Path):
            return sorted({name.split("/", 1)[0] for name in self.names})
        return sorted(name for name in os.listdir(self.root) if not is_hidden(name))

    def tables(self, suffix: str) -> list[str]:
        """Names of tables with this ending: those at the first level, or the chosen one."""
        names = self.top if self.chosen is None else [self.chosen]
        return [name for name in names if name.lower().endswith(suffix)]

    @functools.cached_property
    def _headers(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(self._open_csv(name)[0]) for name in self.tables(".csv")}

    def tables_with(self, *columns: str) -> list[str]:
        """Names of the csv tables that have these columns."""
        return [name for name, header in self._headers.items() if header.issuperset(columns)]

    def columns(self, name: str) -> frozenset[str]:
        """Columns of one of `tables`, in lower case."""
        return self._headers[name]

    def text(self, name: str) -> str:
        """A text file.

        Raises:
          DataError: it cannot be read.
        """
        try:
            return self.path(name).read_text("utf-8-sig")
        except (*READ_ERRORS, UnicodeDecodeError) as error:
            raise DataError(f"{name} cannot be read: {error}.") from error

    def cells(self, name: str) -> Iterator[list[str]]:
        """Values of every line of a csv file that is not empty, the header's too.

        Raises:
          DataError: the file cannot be read.
        """
        return (values for _, values in _csv_lines(self.path(name), name))

    def rows(self, name: str, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Rows of a csv file, streamed.

        Args:
          name: path of the file.
          columns: the columns, in lower case, if the file has no header that begins with the first of them.

        Raises:
          DataError: the file cannot be read, or a row has another number of values than the header.
        """
        header, lines = self._open_csv(name)
        if columns is not None and header[:1] != [columns[0]]:
            header, lines = list(columns), _csv_lines(self.path(name), name)
        for number, values in lines:
            if len(values) < len(header) or any(value.strip() for value in values[len(header) :]):
                raise DataError(f"{name} row {number}: {len(values)} values where the header has {len(header)}.")
            # Blanks after commas are no part of a value: " PublicTest" would be another split than that of the others.
            yield Row(name, number, dict(zip(header, (value.strip() for value in values), strict=False)))

    def _open_csv(self, name: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
        lines = _csv_lines(self.path(name), name)
        _, header = next(lines, (1, []))
        return [column.strip().lower() for column in header], lines


def _csv_lines(path: AnyPath, name: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, values) of every line that is not empty."""
    number = 0
    try:
        with path.open("r", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            for values in reader:
                number = reader.line_num
                if values:
                    yield number, values
    except READ_ERRORS as error:
        raise DataError(f"{name} cannot be read: {error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{name} row {number + 1}: this is not text in csv form ({error}).") from error


def _hidden(name: str) -> bool:
    return any(is_hidden(part) for part in name.split("/"))
