"""What the tables say of a face, in words: the same in reports, on pictures, in subtitles and at the terminal."""

from __future__ import annotations

from pipelines.words import UNKNOWN, percent
from schemas.tables import AT_BORDER, BLURRED, DARK, GENDERS, PROFILE, SMALL, TRACKER_ONLY

FLAGS = {
    SMALL: "small",
    PROFILE: "in profile",
    BLURRED: "blurred",
    DARK: "dark",
    AT_BORDER: "at the border",
    TRACKER_ONLY: "seen by the tracker only",
}
"""Bits of `quality_flags` in words."""


def flag_words(flags: int) -> list[str]:
    """The quality flags that are set, in words."""
    return [text for bit, text in FLAGS.items() if flags & bit]


def emotion_words(emotion: str | None, probability: float | None, *, unknown: str = UNKNOWN) -> str:
    """An emotion with its probability, as "happy 71 %"."""
    return unknown if emotion is None else f"{emotion} {percent(probability)}"


def age_words(
    years: float | None, low: float | None, high: float | None, *, note: str = "", unknown: str = UNKNOWN
) -> str:
    """An age with its 80 % interval, as "34 (27–41)".

    Args:
      years: the age.
      low: first year of the interval.
      high: last year of the interval.
      note: says in the parentheses what the interval is, as in "34 (80 %: 27–41)".
      unknown: said where there is no age.
    """
    if years is None:
        return unknown
    return f"{years:.0f}" + ("" if low is None or high is None else f" ({note}{low:.0f}–{high:.0f})")


def gender_words(gender: str | None, female: float | None, *, unknown: str = UNKNOWN) -> str:
    """A gender with its probability, as "female 93 %".

    Args:
      gender: female, male or unknown, as in the tables.
      female: probability of female.
      unknown: said where neither female nor male was likely enough.
    """
    if gender not in GENDERS or female is None:
        return unknown
    return f"{gender} {percent(female if gender == 'female' else 1 - female)}"
