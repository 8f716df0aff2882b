"""Moments as lists of clips: M3U for players, EDL (CMX 3600) for editing programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pipelines.serve.find import Moment
from transforms.ledger import Row

_FIRST_HOUR = 3600
"""Where the edited time begins by custom, in seconds of time code."""
_PLAIN_RATE = 25.0
"""Frames a second where no video tells its own."""


def playlist(moments: Sequence[Moment], videos: Mapping[str, Sequence[Row]]) -> str:
    """The moments as an extended M3U, which VLC plays one after the other. Its times are those of a player."""
    lines = ["#EXTM3U"]
    for moment, row in _known(moments, videos):
        uri, offset = row["uri"], row["start_offset"] or 0.0
        lines += [
            _line(f"#EXTINF:{moment.end - moment.start:.0f},{_name(row)} {moment.start:g}-{moment.end:g} s"),
            f"#EXTVLCOPT:start-time={moment.start + offset:.3f}",
            f"#EXTVLCOPT:stop-time={moment.end + offset:.3f}",
            _line(uri),
        ]
    return "\n".join(lines) + "\n"


def edit_list(moments: Sequence[Moment], videos: Mapping[str, Sequence[Row]]) -> str:
    """The moments as an edit decision list of CMX 3600, cut one after the other from 01:00:00:00 on.

    Such a list has one frame rate: that of most of the moments. Time code of a source is 00:00:00:00 at its first
    picture, which is also where the times of the tables begin; reels are `AX` (a file), which the comments name.
    """
    known = list(_known(moments, videos))
    rates = Counter(round(row["avg_fps"], 3) for _, row in known if row["avg_fps"])
    rate = rates.most_common(1)[0][0] if rates else _PLAIN_RATE
    at = _FIRST_HOUR * max(round(rate), 1)
    lines = ["TITLE: facelog", "FCM: NON-DROP FRAME", f"* FRAME RATE: {rate:g}", ""]
    for number, (moment, row) in enumerate(known, 1):
        first = round(moment.start * rate)
        length = max(round(moment.end * rate) - first, 1)
        times = (first, first + length, at, at + length)
        lines += [
            f"{number:03}  AX       V     C        {' '.join(_time_code(frame, rate) for frame in times)}",
            _line(f"* FROM CLIP NAME: {_name(row)}"),
            _line(f"* SOURCE FILE: {row['uri']}"),
            "",
        ]
        at += length
    return "\r\n".join(lines)


def _known(moments: Sequence[Moment], videos: Mapping[str, Sequence[Row]]) -> Iterator[tuple[Moment, Row]]:
    """Moments of videos that are known, each with the video's row."""
    for moment in moments:
        if rows := videos.get(moment.video_id):
            yield moment, rows[0]


def _name(row: Row) -> str:
    return str(row["uri"]).rsplit("/", 1)[-1]


def _time_code(frame: int, rate: float) -> str:
    """hh:mm:ss:ff of a frame, without dropped numbers: at 29.97 frames a second each 30 frames count as a second."""
    seconds, rest = divmod(frame, max(round(rate), 1))
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{rest:02}"


def _line(text: str) -> str:
    """A text of somebody else as one line, which is no instruction to the player."""
    return "".join(c if c.isprintable() else "_" for c in text)
