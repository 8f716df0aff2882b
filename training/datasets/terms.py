"""Names of the data sets and the terms under which their authors hand them out, for cards and documentation."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a card says of a kind of data set.

    Attributes:
      name: its name.
      licence: under which terms it is handed out; empty: facelog does not know them.
    """

    name: str
    licence: str = ""


_SIGNED = "for research, under an agreement with its authors; its pictures must not be passed on"

TERMS = {
    "fer2013": Terms("FER2013", "FER2013: research use. FER+ votes: MIT."),
    "utkface": Terms("UTKFace", "research use"),
    "fairface": Terms("FairFace", "CC BY 4.0"),
    "imdb": Terms("IMDB", "IMDB-WIKI: research use."),
    "wiki": Terms("WIKI", "IMDB-WIKI: research use."),
    "imdb_db": Terms("IMDB", "IMDB-WIKI: research use."),
    "appa_real": Terms("APPA-REAL"),
    "all_age_faces": Terms("All-Age-Faces"),
    "folder": Terms("a folder of pictures"),
    "affectnet": Terms("AffectNet", _SIGNED),
    "rafdb": Terms("RAF-DB", _SIGNED),
    "expw": Terms("ExpW", "research use"),
    "kdef": Terms("KDEF", "for research; its pictures must not be passed on"),
    "rafd": Terms("RaFD", _SIGNED),
    "faces": Terms("FACES", _SIGNED),
    "jaffe": Terms("JAFFE", _SIGNED),
    "ck_plus": Terms("CK+", _SIGNED),
    "sfew": Terms("SFEW", _SIGNED),
    "afew": Terms("AFEW", _SIGNED),
    "taiwanese": Terms("performers from Taiwan (Chen et al., 2013)", _SIGNED),
    "crema_d": Terms("CREMA-D", "Open Database License 1.0"),
    "ravdess": Terms("RAVDESS", "CC BY-NC-SA 4.0"),
}
"""By kind."""


def name_of(kind: str) -> str:
    """The name of a kind of data set."""
    return TERMS[kind].name if kind in TERMS else kind


def terms_of(kind: str) -> str:
    """A sentence about its terms."""
    of = TERMS.get(kind, Terms(kind))
    if of.licence.endswith("."):
        return of.licence
    return f"{of.name}: {of.licence or 'see its terms'}."
