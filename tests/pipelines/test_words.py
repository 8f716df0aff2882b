"""Numbers, times and findings in words."""

from datetime import UTC, datetime

import pytest

from pipelines.colours import EMOTION_COLOURS, hex_code
from pipelines.face_words import FLAGS, age_words, emotion_words, flag_words, gender_words
from pipelines.words import at, clock, counted, lasting, percent, size, when
from schemas.tables import BLURRED, EMOTIONS, SMALL


@pytest.mark.parametrize(
    ("seconds", "whole", "hundredths", "thousandths", "in_a_video"),
    [
        (0, "0:00:00", "0:00:00.00", "00:00:00.000", "0:00:00"),
        (62.5, "0:01:02", "0:01:02.50", "00:01:02.500", "0:01:02.5"),
        (59.996, "0:00:59", "0:01:00.00", "00:00:59.996", "0:01:00"),
        (-3, "0:00:00", "0:00:00.00", "00:00:00.000", "0:00:00"),
        (360_000, "100:00:00", "100:00:00.00", "100:00:00.000", "100:00:00"),
    ],
)
def test_times(seconds: float, whole: str, hundredths: str, thousandths: str, in_a_video: str) -> None:
    assert (clock(seconds), clock(seconds, 2), clock(seconds, 3, hour_digits=2)) == (whole, hundredths, thousandths)
    assert at(seconds) == in_a_video


def test_numbers() -> None:
    assert [size(n) for n in (0, 999, 1000, 123_456_789, 999_600_000, 2_000_000_000_000_000, None)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "123 MB", "1.0 GB", "2,000.0 TB", "unknown")
    ]
    assert [percent(p) for p in (0, 0.001, 0.714, 0.999, 1, None)] == [
        "0 %",
        "< 1 %",
        "71 %",
        "> 99 %",
        "100 %",
        "unknown",
    ]
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [lasting(s) for s in (2.44, 185, 7620, None)] == ["2.4 s", "3 min 05 s", "2 h 07 min", "unknown"]
    assert (
        when(datetime(2026, 11, 28, 0, 36, 9, tzinfo=UTC))
        == when("2026-11-28T01:36:09+01:00")
        == ("2026-11-28 00:36:09 UTC")
    )


def test_faces() -> None:
    assert emotion_words("happy", 0.714) == "happy 71 %" and emotion_words(None, None) == "unknown"
    assert age_words(34.2, 26.6, 41.2) == "34 (27–41)" and age_words(34.2, None, None) == "34"
    assert age_words(34.2, 26.6, 41.2, note="80 %: ") == "34 (80 %: 27–41)"
    assert gender_words("male", 0.1) == "male 90 %" and gender_words("female", 0.93) == "female 93 %"
    assert gender_words("unknown", 0.6) == gender_words(None, None) == "unknown"
    assert flag_words(SMALL | BLURRED) == ["small", "blurred"] and flag_words(0) == []
    assert len(flag_words(sum(FLAGS))) == len(FLAGS)


def test_each_emotion_has_a_colour_of_its_own() -> None:
    assert set(EMOTION_COLOURS) == set(EMOTIONS) and len(set(EMOTION_COLOURS.values())) == len(EMOTIONS)
    assert hex_code(EMOTION_COLOURS["angry"]) == "#D55E00"
