"""Measures recall and cost of the detector at several values of --min-face: the table of docs/detection.md.

usage: python -m benchmarks.min_face FOLDER_WITH_MANIFEST
The manifest has the number of faces that a stronger detector found in eight evenly spread frames of each clip.
"""

import ast
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.detectors.hog import detect_hog
from transforms import media
from transforms.open_video import read_frames
from transforms.picture import Picture

MIN_FACES = (40, 50, 60, 80, 120)


def frames(path: Path, count: int) -> Iterator[np.ndarray]:
    """`count` frames evenly spread over a clip."""
    with media.open_media(str(path)) as container:
        stream = media.video_stream(container)
        assert stream is not None
        sar = float(stream.sample_aspect_ratio or 1)
        lumas = [Picture(frame, sar).luma.copy() for frame in read_frames(container, stream)]
    for i in np.linspace(0, len(lumas) - 1, count).astype(int):
        yield lumas[i]


def main(folder: Path) -> None:
    """Print the table."""
    clips = []
    with open(folder / "MANIFEST.tsv", newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            counts = ast.literal_eval(row["faces_in_8_sampled_frames"])
            if row["file"].startswith("faces/") and counts:
                clips.append((row["file"], counts, list(frames(folder / row["file"], len(counts)))))
    pixels = sum(luma.size for _, _, lumas in clips for luma in lumas)
    print("| --min-face | recall | more than counted | CPU ms a frame | CPU ms a megapixel | clips below full recall |")
    print("| ---: | ---: | ---: | ---: | ---: | --- |")
    for min_face in MIN_FACES:
        found = counted = more = 0
        short = []
        start = time.process_time()
        for name, counts, lumas in clips:
            boxes = [len(detect_hog(luma, min_face=min_face, threshold=0.0).score) for luma in lumas]
            hits = sum(min(b, c) for b, c in zip(boxes, counts, strict=True))
            found, counted = found + hits, counted + sum(counts)
            more += sum(max(0, b - c) for b, c in zip(boxes, counts, strict=True))
            if hits < sum(counts):
                short.append(f"{Path(name).stem} {hits}/{sum(counts)}")
        seconds = time.process_time() - start
        n = sum(len(lumas) for _, _, lumas in clips)
        costs = f"{1e3 * seconds / n:.0f} | {1e9 * seconds / pixels:.0f}"
        print(f"| {min_face} | {found / counted:.3f} | {more} | {costs} | {', '.join(short)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
