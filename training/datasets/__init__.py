"""Readers of the public data sets, in the forms that people have on disk: folder, zip, csv or Matlab file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from training.datasets import (
    affectnet,
    age_folder,
    all_age_faces,
    appa_real,
    ck_plus,
    crema_d,
    expw,
    fairface,
    fer2013,
    films,
    folder,
    imdb,
    imdb_db,
    rafdb,
    ravdess,
    taiwanese,
    utkface,
)
from training.datasets.base import DataError, DataSet, LabelledPicture, open_root
from training.datasets.faces_mpib import FACES
from training.datasets.files import Files
from training.datasets.jaffe import JAFFE
from training.datasets.kdef import KDEF
from training.datasets.rafd import RAFD

__all__ = ["KINDS", "DataError", "DataSet", "LabelledPicture", "detect_kind", "read_dataset"]


@dataclasses.dataclass(frozen=True)
class Reader:
    """How to recognize a kind of data set, and how to read it."""

    matches: Callable[[Files], bool]
    read: Callable[..., DataSet]


# In the order in which they are tried.
KINDS = {
    "fer2013": Reader(fer2013.matches, fer2013.read),
    "imdb": Reader(partial(imdb.matches, "imdb"), partial(imdb.read, "imdb")),
    "wiki": Reader(partial(imdb.matches, "wiki"), partial(imdb.read, "wiki")),
    "imdb_db": Reader(imdb_db.matches, imdb_db.read),
    "appa_real": Reader(appa_real.matches, appa_real.read),
    "fairface": Reader(fairface.matches, fairface.read),
    "all_age_faces": Reader(all_age_faces.matches, all_age_faces.read),
    "utkface": Reader(utkface.matches, utkface.read),
    "affectnet": Reader(affectnet.matches, affectnet.read),
    "rafdb": Reader(rafdb.matches, rafdb.read),
    "expw": Reader(expw.matches, expw.read),
    "kdef": Reader(KDEF.matches, KDEF.read),
    "rafd": Reader(RAFD.matches, RAFD.read),
    "faces": Reader(FACES.matches, FACES.read),
    "jaffe": Reader(JAFFE.matches, JAFFE.read),
    "ck_plus": Reader(ck_plus.matches, ck_plus.read),
    "taiwanese": Reader(taiwanese.TAIWANESE.matches, taiwanese.read),
    "crema_d": Reader(crema_d.CREMA_D.matches, crema_d.read),
    "ravdess": Reader(ravdess.RAVDESS.matches, ravdess.read),
    "afew": Reader(films.matches_afew, films.read_afew),
    "sfew": Reader(films.matches_sfew, films.read_sfew),
    "folder": Reader(folder.matches, folder.read),
    "age_folder": Reader(age_folder.matches, age_folder.read),
}


def read_dataset(
    path: str | Path, kind: str | None = None, *, faces: str = "original", min_score: float = imdb.MIN_SCORE
) -> DataSet:
    """Open a data set for reading.

    Args:
      path: its folder, its zip, or its table (`fer2013.csv`, `imdb.mat`, a `labels.csv`).
      kind: one of KINDS, in any case and with `-` or `_`; None: recognize it by its files.
      faces: for All-Age-Faces, "original" images or "aligned" faces.
      min_score: for IMDB and WIKI, the lowest `face_score`.

    Raises:
      DataError: there is no such file, it is not of this kind, or its kind is not recognized.
    """
    files = _open(Path(path))
    name = _detect(files, Path(path)) if kind is None else kind.strip().lower().replace("-", "_")
    if name not in KINDS:
        raise DataError(f"There is no kind of data set '{kind}': choose one of {', '.join(KINDS)}.")
    options: dict[str, dict[str, Any]] = {
        "all_age_faces": {"faces": faces},
        "imdb": {"min_score": min_score},
        "wiki": {"min_score": min_score},
    }
    return KINDS[name].read(files, **options.get(name, {}))


def detect_kind(path: str | Path) -> str:
    """Recognize the kind of a data set by its files.

    Raises:
      DataError: there is no such file, or the kind is not recognized.
    """
    return _detect(_open(Path(path)), Path(path))


def _open(path: Path) -> Files:
    if path.is_file() and path.suffix.lower() in (".csv", ".mat"):
        return Files(path.parent, path.name)
    return Files(open_root(path))


def _detect(files: Files, path: Path) -> str:
    for kind, reader in KINDS.items():
        if reader.matches(files):
            if kind == "imdb" and KINDS["wiki"].matches(files):
                raise DataError(f"{path} has both imdb.mat and wiki.mat: give one of the files, or the kind.")
            return kind
    raise DataError(
        f"{path} looks like no data set that is known ({', '.join(KINDS)}): say which it is, or add a {folder.TABLE} "
        "with the columns file, and emotion, age or gender."
    )
