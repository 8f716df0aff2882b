"""The timeline of a video's page: a lane for each track or person, and finer bins for a part that is zoomed in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.reports import charts, timeline
from pipelines.reports.content import Track, VideoReport
from pipelines.reports.video import Tables, columns_of, video_report
from schemas.errors import UsageError
from transforms.ledger import Row

TRACK, PERSON = "track", "person"
Who = Mapping[int, tuple[int, str | None]]
"""Number and name of the person of each track."""


class Lanes:
    """The timelines of one video.

    Attributes:
      report: of the video, as in reports.
    """

    def __init__(self, rows: Sequence[Row], tables: Tables):
        """Takes the rows of `videos` of a content, and its tables."""
        self.report = video_report("", rows, tables)
        self._faces, self._seconds = columns_of(tables.faces), columns_of(tables.timeline)
        self._sample_seconds = 1 / (rows[0]["sample_fps"] or rows[0]["avg_fps"] or 4.0)

    def choices(self, who: Who) -> tuple[str, ...]:
        """What a lane can be of, the usual one first; `who` are the archive's persons."""
        return (PERSON, TRACK) if who or self.report.persons else (TRACK,)

    def drawn(self, by: str, who: Who, part: tuple[float, float] | None = None) -> VideoReport:
        """The report with the timeline that is asked for.

        Args:
          by: `track` or `person`.
          who: persons of the archive; where there are none, those of the video are meant.
          part: seconds from and to; None: the whole video.

        Raises:
          UsageError: `by` or `part` means nothing.
        """
        if by not in (TRACK, PERSON):
            raise UsageError("A lane is that of a track or of a person.")
        start, end = self._seconds_of(part)
        seconds = {name: values[start:end] for name, values in self._seconds.items()}
        inside = (self._faces["second"] >= start) & (self._faces["second"] < end)
        faces = {name: values[inside] for name, values in self._faces.items()}
        spans = timeline.tracks_over_time(
            faces,
            [dataclasses.replace(track, person_id=self._person(track, by, who)) for track in self.report.tracks],
            duration=float(end - start),
            sample_seconds=self._sample_seconds,
            names={person: name for person, name in who.values() if name},
        )
        shares = timeline.emotions_over_time(faces | {"second": faces["second"] - start}, float(end - start))
        counts = timeline.faces_over_time(seconds)
        return dataclasses.replace(self.report, timeline=spans, counts=counts, shares=shares)

    def figure(self, by: str, who: Who, part: tuple[float, float] | None) -> dict[str, Any]:
        """The figure of a timeline, with the widest of its bins; raises as `drawn`."""
        drawn = self.drawn(by, who, part)
        start, end = self._seconds_of(part)
        covered = (float(start), min(float(end), charts.end_of(self.report))) if part else None
        figure = charts.timeline_figure(drawn, covered)
        return figure | {"bins": widest_bin(drawn)}

    @staticmethod
    def _person(track: Track, by: str, who: Who) -> int | None:
        if by == TRACK:
            return None
        return who.get(track.track_id, (None, None))[0] if who else track.person_id

    def _seconds_of(self, part: tuple[float, float] | None) -> tuple[int, int]:
        length = len(self._seconds["second"])
        if part is None:
            return 0, length
        if not all(map(math.isfinite, part)) or part[0] >= part[1]:
            raise UsageError("A part of a video is from one second to a later one.")
        start, end = (int(np.clip(second, 0, length)) for second in (math.floor(part[0]), math.ceil(part[1])))
        return (start, end) if start < end else (max(length - 1, 0), length)


def widest_bin(report: VideoReport) -> int:
    """Seconds of the widest bin of a timeline; 1: it cannot be finer."""
    return max(report.timeline.bin_seconds, report.counts.bin_seconds, report.shares.bin_seconds)
