"""Measures a worker's peak memory and the size of the tables, for two minutes of video and two hours of the same.

usage: python -m benchmarks.memory [HOURS]
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.clips import looped
from pipelines.runs.analyze_archive import analyze
from schemas import storage
from tests.clips import portrait_clip
from transforms.ledger import read_ledger


def main(hours: float) -> None:
    """Print both peaks and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        short = portrait_clip(here / "short.mp4", seconds=120, fps=25, size=(320, 240), moving=True, gop=50).path
        long = looped(short, here / "long.mp4", round(hours * 30))
        peaks = []
        for clip in (short, long):
            summary = analyze([str(clip)], str(here / clip.stem), workers=1)
            (row,) = read_ledger(str(here / clip.stem)).values()
            tables = [i.size_bytes or 0 for i in storage.list_files(str(here / clip.stem)) if "bucket=" in i.uri]
            peaks.append(row["peak_rss_mb"])
            print(
                f"{clip.name}: {row['duration'] / 60:.0f} min, peak {row['peak_rss_mb']:.0f} MB, "
                f"{row['face_seconds']} face-seconds in {row['n_tracks']} tracks, "
                f"{sum(tables) / row['duration'] * 3.6:.0f} kB of tables an hour, "
                f"{row['duration'] / summary.wall_seconds:.1f}x real time",
                flush=True,
            )
        print(f"ratio of the peaks: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
