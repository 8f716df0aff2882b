"""Measures head pose on pairs of a frame and the same frame mirrored: a table of docs/detection.md.

usage: python -m benchmarks.head_pose CLIP…
In a mirrored frame yaw and roll must change their signs, and pitch must stay. Faces are found and followed with the
detector yunet, four samples a second; only detections that count are compared.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from schemas.config import Config
from schemas.storage import FileInfo
from schemas.video import Clock, DecodeStats, Segment
from transforms import media
from transforms.crop_faces import crop_faces
from transforms.follow_faces import follow_faces
from transforms.open_video import read_frames
from transforms.picture import Picture
from transforms.samples import Sample, SegmentStream

FPS = 4
CONFIG = Config().override(detector="yunet")
COUNTS = 0.6
"""The detector's own threshold."""
SAME_PLACE = 0.3
"""Distance of two middles, in widths of the face, up to which they are the same face."""
_SEGMENT = Segment(FileInfo("", None, None), "", 0, Clock(None, 1, 1), 0.0, None, None, None, 0, 0.0)
NAMES = ("timestamp", "x", "y", "width", "yaw", "pitch", "roll", "pose_std", "confidence")


def samples(path: Path, fps: int, *, mirrored: bool) -> Iterator[Sample]:
    """The samples of a clip."""
    with media.open_media(str(path)) as container:
        stream = media.video_stream(container)
        assert stream is not None and stream.time_base is not None
        last = -1
        for frame in read_frames(container, stream):
            number = int((frame.pts or 0) * stream.time_base * fps)
            if number != last:
                image = frame.to_ndarray(format="rgb24")[:, :: -1 if mirrored else 1]
                picture = Picture(av.VideoFrame.from_ndarray(np.ascontiguousarray(image, np.uint8), format="rgb24"))
                yield Sample(number / fps, None, None, picture)
            last = number


def poses(path: Path, fps: int, *, mirrored: bool) -> np.ndarray:
    """The observations of a clip, [n, columns of NAMES]; `x` is the middle of the box, mirrored back."""
    seen = list(samples(path, fps, mirrored=mirrored))
    width = seen[0].picture.size[0]
    stream = SegmentStream(_SEGMENT, follow_faces(seen, CONFIG), DecodeStats())
    rows = np.concatenate([np.stack([f.columns[n] for n in NAMES], axis=1) for f in crop_faces(stream, CONFIG)])
    rows[:, 1] += rows[:, 3] / 2
    rows[:, 1] = width - rows[:, 1] if mirrored else rows[:, 1]
    return rows[rows[:, 8] >= COUNTS]


def pairs(path: Path, fps: int = FPS) -> np.ndarray:
    """Faces that were found in both, [n, 2, columns of NAMES]."""
    plain, mirrored = (poses(path, fps, mirrored=is_mirrored) for is_mirrored in (False, True))
    found = []
    for row in plain:
        of_then = mirrored[mirrored[:, 0] == row[0]]
        apart = np.hypot(*(of_then[:, 1:3] - row[1:3]).T)
        if len(apart) and apart.min() < SAME_PLACE * row[3]:
            found.append((row, of_then[apart.argmin()]))
    return np.array(found).reshape(-1, 2, len(NAMES))


def rms(values: np.ndarray) -> float:
    """Root mean square of the known values; NaN if there are none."""
    known = values[np.isfinite(values)]
    return float(np.sqrt((known**2).mean())) if len(known) else float("nan")


def main(clips: list[Path]) -> None:
    """Print the table."""
    print("| clip | heads | pairs | yaw changes its sign | yaw | pitch | roll | pose_std |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for clip in clips:
        both = pairs(clip)
        turned = np.isnan(both[:, 0, 5])
        for words, rows in (("turned", both[turned]), ("others", both[~turned])):
            if len(rows):
                (yaw, pitch, roll, std), (yaw2, pitch2, roll2, _) = rows[:, 0, 4:8].T, rows[:, 1, 4:8].T
                clear = np.abs(yaw) > 15
                signs = f"{(yaw * yaw2 < 0)[clear].sum()} of {clear.sum()}"
                figures = f"{rms(yaw + yaw2):.1f} | {rms(pitch - pitch2):.1f} | {rms(roll + roll2):.1f}"
                figures = figures.replace("nan", "–")
                print(f"| `{clip.stem}` | {words} | {len(rows)} | {signs} | {figures} | {np.nanmedian(std):.0f} |")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
