"""Reads Matlab files, as IMDB-WIKI and the tools around it use them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import scipy.io

from training.datasets.base import READ_ERRORS, DataError
from training.datasets.files import Files

_ERRORS = (*READ_ERRORS, ValueError, TypeError, NotImplementedError, scipy.io.matlab.MatReadError)


def variables(files: Files, name: str) -> frozenset[str]:
    """Names of the variables in a file, without reading their values; empty if the file cannot be read."""
    try:
        with files.path(name).open("rb") as file:
            return frozenset(variable for variable, _, _ in scipy.io.whosmat(file))
    except _ERRORS:
        return frozenset()


def load(files: Files, name: str, wanted: list[str] | None = None) -> dict[str, Any]:
    """The variables of a file.

    Args:
      files: files of the data set.
      name: name of the file.
      wanted: names of the variables to read; None: all.

    Raises:
      DataError: the file cannot be read.
    """
    try:
        return scipy.io.loadmat(io.BytesIO(files.path(name).read_bytes()), variable_names=wanted)
    except NotImplementedError:
        raise DataError(f"{name} is in Matlab's form 7.3; save it as version 7 (save -v7), which is read.") from None
    except _ERRORS as error:
        raise DataError(f"{name} does not read as a Matlab file ({error}).") from error


def column(name: str, values: np.ndarray, length: int | None = None) -> np.ndarray:
    """A field with one number per picture, [n] float64; it may be stored as a row or as a column.

    Raises:
      DataError: the field does not hold numbers, or another number of them.
    """
    try:
        flat = np.asarray(values).reshape(-1).astype(np.float64)
    except (ValueError, TypeError):
        raise DataError(f"{name} does not hold numbers.") from None
    return _of_length(name, flat, length)


def texts(name: str, values: np.ndarray, length: int | None = None) -> list[str]:
    """A field with one text per picture: a cell array, or Matlab's padded array of characters.

    Raises:
      DataError: the field holds another number of texts.
    """
    cells = _of_length(name, np.asarray(values).reshape(-1), length)
    return [_text(cell).strip() for cell in cells]


def _text(cell: Any) -> str:
    while isinstance(cell, np.ndarray):
        if cell.size == 0:
            return ""
        cell = cell.flat[0]
    return str(cell)


def _of_length(name: str, values: np.ndarray, length: int | None) -> np.ndarray:
    if length is not None and len(values) != length:
        raise DataError(f"{name} has {len(values):,} values, expected {length:,}, one for each picture.")
    return values
