"""Makes ready the press and film faces of expressions.zip, as training/shipped/train.sh does.

usage: python training/shipped/expressions.py EXPRESSIONS.ZIP FOLDER

Unpacks them into a folder that `facelog prepare` reads. A person's pictures stay together, and those of a third of the
people are judged by. What is called disgust there is left out: nearly all of it are frames of one film whose faces show
any expression, or none.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from pathlib import Path

from training.data.prepared import fraction

_JUDGED = 2 / 3
_LEFT_OUT = ("disgust",)


def main(file: Path, folder: Path) -> None:
    """Unpacks the pictures and writes `labels.csv`: file, emotion, group and split."""
    with zipfile.ZipFile(file) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"), "utf-8")))
        kept = [row for row in rows if row["label"] not in _LEFT_OUT]
        archive.extractall(folder, [row["file"] for row in kept])
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["file", "emotion", "group", "split"])
        for row in kept:
            person = re.sub(r"[_-]*\d*\.\w+$", "", row["original"])
            split = "test" if fraction(person) >= _JUDGED else ""
            writer.writerow([row["file"], row["label"], person, split])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
