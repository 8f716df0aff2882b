"""Subtitles that a player shows over the original file: `NAME.facelog.ass` or `NAME.facelog.vtt` for each video.

A cue says what a face shows: number of its track, emotion of these seconds, age with its interval and gender of the
whole track. Times are the player's clock, `timestamp + start_offset`. Seconds of a track that say the same in about the
same place are one cue.
"""

import dataclasses
import html
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.exports.videos import NothingToExportError, Video
from pipelines.face_words import age_words
from pipelines.words import clock
from schemas import storage

FORMATS = ("ass", "vtt")
_MOVED = 0.25
"""Share of its own width by which a face may move before its text follows."""


@dataclasses.dataclass(frozen=True)
class Cue:
    """A text for some seconds.

    Attributes:
      start: second of the player's clock.
      end: second at which it disappears.
      text: what it says.
      box: x, y, width, height of the face, in parts of the picture's width and height.
      track: number of the track.
    """

    start: float
    end: float
    text: str
    box: tuple[float, float, float, float]
    track: int


def export_subtitles(video: Video, folder: str, *, form: str) -> Iterator[str]:
    """Writes one video, and yields what was written.

    Args:
      video: which.
      folder: where to.
      form: ass or vtt.

    Raises:
      NothingToExportError: no size of its picture is known.
    """
    if not video.row["width"] or not video.row["height"]:
        raise NothingToExportError("the size of its picture is not known")
    cues = make_cues(video)
    text = _ass(video, cues) if form == "ass" else _vtt(cues)
    name = storage.join(folder, f"{video.name}.facelog.{form}")
    with storage.open_output(name) as file:
        file.write(text.encode())
    yield name


def make_cues(video: Video) -> list[Cue]:
    """The cues of a video, by time and track."""
    tracks = {track["track_id"]: track for track in video.table("tracks").to_pylist()}
    width, height, offset = video.row["width"], video.row["height"], video.start_offset
    # A track is seen until its next sample would have come.
    period = 1 / (video.row["sample_fps"] or video.row["avg_fps"] or 4.0)
    cues: list[Cue] = []
    open_cues: dict[int, Cue] = {}
    columns = ["track_id", "second", "emotion_smooth", "x", "y", "width", "height"]
    faces = video.table("faces").select(columns).sort_by([("track_id", "ascending"), ("second", "ascending")])
    for face in faces.to_pylist():
        track = tracks[face["track_id"]]
        start = max(float(face["second"]), track["start_time"]) + offset
        end = min(face["second"] + 1.0, track["end_time"] + period) + offset
        box = (face["x"] / width, face["y"] / height, face["width"] / width, face["height"] / height)
        cue = Cue(start, max(end, start + 0.05), _words(face, track), box, face["track_id"])
        last = open_cues.get(cue.track)
        if last and last.text == cue.text and abs(last.end - cue.start) < 1e-6 and _is_near(last, cue):
            cues[-1] = cue = dataclasses.replace(last, end=cue.end)
        else:
            cues.append(cue)
        open_cues[cue.track] = cue
    return sorted(cues, key=lambda cue: (cue.start, cue.track))


def _is_near(one: Cue, other: Cue) -> bool:
    limits = (one.box[2] * _MOVED, one.box[3] * _MOVED)
    return all(abs(one.box[i] - other.box[i]) <= limits[i] for i in (0, 1))


def _words(face: dict[str, Any], track: dict[str, Any]) -> str:
    """As `#3 happy · 31 (25–38) · female`."""
    words = [f"#{face['track_id']}" + (f" {face['emotion_smooth']}" if face["emotion_smooth"] else "")]
    if track["age"] is not None:
        words.append(age_words(track["age"], track["age_low"], track["age_high"]))
    if track["gender"] is not None:
        words.append(track["gender"] if track["gender"] != "unknown" else "gender unknown")
    return " · ".join(words)


_ASS_HEAD = """\
[Script Info]
; made by facelog
Title: {title}
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 2
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Face,sans-serif,{size},&H00FFFFFF,&H00FFFFFF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,{border},0,1,0,0,0,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _ass(video: Video, cues: Sequence[Cue]) -> str:
    """Advanced SubStation Alpha: the text stands over the face, and under it where there is no room above."""
    width, height = video.row["width"], video.row["height"]
    size = max(round(min(width, height) / 20), 8)
    head = _ASS_HEAD.format(
        title=" ".join(video.name.split()), width=width, height=height, size=size, border=max(round(size / 10), 1)
    )
    lines = []
    for cue in cues:
        x, top, bottom = cue.box[0] * width, cue.box[1] * height, (cue.box[1] + cue.box[3]) * height
        above = top >= 1.3 * size
        y = top - 2 if above else min(bottom + 2, height - 1.3 * size)
        place = f"{{\\an{1 if above else 7}\\pos({min(max(x, 0), width * 0.9):.0f},{y:.0f})}}"
        times = f"{clock(cue.start, 2)},{clock(cue.end, 2)}"
        lines.append(f"Dialogue: 0,{times},Face,,0,0,0,,{place}{escape_ass(cue.text)}\n")
    return head + "".join(lines)


def _vtt(cues: Sequence[Cue]) -> str:
    """WebVTT: the text stands under the face, for players know a line by its top alone."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        line = min(max((cue.box[1] + cue.box[3]) * 100, 0), 92)
        position = min(max(cue.box[0] * 100, 0), 90)
        where = f"line:{line:.1f}% position:{position:.1f}% align:start"
        times = f"{clock(cue.start, 3, hour_digits=2)} --> {clock(cue.end, 3, hour_digits=2)}"
        blocks.append(f"{times} {where}\n{escape_vtt(cue.text)}\n")
    return "\n".join(blocks)


def escape_ass(text: str) -> str:
    """A text that stands in an ASS event as it is: braces and backslashes begin commands there, lines end events."""
    text = " ".join(text.split())
    return text.replace("\\", "\\\u2060").replace("{", "\\{").replace("}", "\\}")


def escape_vtt(text: str) -> str:
    """A text that stands in a WebVTT cue as it is."""
    return html.escape(" ".join(text.split()), quote=False)
