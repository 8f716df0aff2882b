"""The files of a data set in a folder or zip, and the rows of its tables, whose errors name file and row."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import TypeVar

from training.datasets.base import READ_ERRORS, AnyPath, DataError, is_hidden

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm")

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

    def rows(self, name: str) -> Iterator[Row]:
        """Rows of a csv file, streamed.

        Raises:
          DataError: the file cannot be read, or a row has another number of values than the header.
        """
        header, lines = self._open_csv(name)
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
