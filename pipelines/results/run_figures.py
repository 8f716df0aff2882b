"""What a run has done and what its steps have cost, summed up from the rows of its videos; true for every runner."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pipelines.words import clock, counted, percent
from transforms.ledger import Row


@dataclasses.dataclass(frozen=True)
class RunFigures:
    """Sums over the videos that a run has computed so far; copies, for which nothing was computed, are left out.

    Attributes:
      videos: number of videos that the run has finished, well or badly.
      failed: how many of them failed.
      segments: number of segments.
      video_seconds: seconds of video.
      samples: number of frames that were looked at.
      detections: number of faces that the detector found in them; those that only the tracker carried are left out.
      face_rows: rows of the table `faces`.
      step_seconds: seconds that the workers spent in each step, by its name: decode, cuts, detect, track, crop, infer,
        embed (where persons are asked for), write. Together they are more than the run took where several workers ran
        side by side.
    """

    videos: int
    failed: int
    segments: int
    video_seconds: float
    samples: int
    detections: int
    face_rows: int
    step_seconds: dict[str, float]

    @classmethod
    def of(cls, rows: Iterable[Row], run_id: str) -> RunFigures:
        """Sums up the rows of a run.

        Args:
          rows: of the ledger.
          run_id: name of the run; rows of other runs are left out.
        """
        own = [row for row in rows if row["run_id"] == run_id]
        failed = [row for row in own if row["status"] == "failed"]
        done = [row for row in own if row.get("figures")]
        seconds: Counter[str] = Counter()
        for row in done:
            seconds.update(row["figures"]["step_seconds"])
        return cls(
            videos=len(done) + len(failed),
            failed=len(failed),
            segments=sum(row["figures"]["segments"] for row in done),
            video_seconds=sum(row["duration"] or 0.0 for row in done),
            samples=sum(row["frames_sampled"] or 0 for row in done),
            detections=sum(row["figures"]["detections"] for row in done),
            face_rows=sum(row["face_seconds"] or 0 for row in done),
            step_seconds={step: round(spent, 3) for step, spent in seconds.items()},
        )

    @property
    def work_seconds(self) -> float:
        """Seconds of all steps together."""
        return sum(self.step_seconds.values())

    @property
    def steps(self) -> str:
        """What share of the time each step took, in words: "12 ms a sample: decode 19 %, detect 50 %, infer 31 %"."""
        total = self.work_seconds
        shares = [f"{step} {percent(spent / total)}" for step, spent in self.step_seconds.items() if spent]
        return f"{1000 * total / max(self.samples, 1):.0f} ms a sample: {', '.join(shares)}"

    @property
    def lines(self) -> list[str]:
        """The figures in words; none where the run has finished no video."""
        if not self.samples:
            return []
        amounts = [counted(self.samples, "sample"), counted(self.detections, "detection")]
        amounts.append(counted(self.face_rows, "row") + " of faces")
        return [
            f"{counted(self.videos, 'video')} computed, {clock(self.video_seconds)} long: {', '.join(amounts)}",
            f"{clock(self.work_seconds)} of the workers' time, {self.steps}",
        ]

    def as_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return dataclasses.asdict(self)
