"""How alike faces of one person and of strangers are: the tables of docs/persons.md.

    python -m benchmarks.likeness strangers FAIRFACE.zip [--pictures N] [--embedding NAME]
    python -m benchmarks.likeness clips SHARED/videos/faces

`strangers` takes pictures of FairFace, each of another person as far as is known: the share of all pairs of a group
whose likeness reaches 0.45. Groups are FairFace's labels. `clips` compares faces of nine known people of the sample
archive by both embeddings: the equal error rate over all pairs, and CPU time of a face.
"""

import argparse
import csv
import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from models.detectors.choose import make_detector
from models.detectors.interface import StillPicture
from models.embeddings.choose import EMBEDDINGS, embedding_card
from models.embeddings.interface import Embed, EmbeddingCard
from models.geometry import cut_chip
from models.landmarks import predict_landmarks
from pipelines.settings import settled
from schemas.config import Config
from tests.pipelines.persons.test_labelled import PEOPLE, pictures

_GROUPS = ("age_group", "gender", "race")
_STEPS = (0.45, 0.50, 0.55, 0.60)
_FACES = 30


class Faces:
    """The embedding of the largest face in a picture."""

    def __init__(self, name: str):
        """Loads detector and embedding."""
        self.card: EmbeddingCard = embedding_card(name)
        self._embed: Embed = self.card.load(self.card.weights())
        self._detector = make_detector(settled(Config()).detection)
        self.seconds, self.count = 0.0, 0

    def of(self, rgb: np.ndarray) -> np.ndarray | None:
        """[d] float32; None: no face is found.

        Args:
          rgb: [h, w, 3] uint8.
        """
        picture = StillPicture(rgb)
        found = self._detector.strong(picture)
        if not len(found.score) or found.points is None:
            return None
        best = int(np.argmax(found.xywh[:, 2]))
        landmarks = predict_landmarks(picture.luma, found.xywh[best : best + 1])[0]
        matrix, geometry = self.card.transform(found.points[best], landmarks)
        image = rgb if geometry.channels == "rgb" else np.ascontiguousarray(rgb[:, :, ::-1])
        chip = cut_chip(image, matrix, geometry.size)
        start = time.process_time()
        vector = self._embed(chip)
        self.seconds, self.count = self.seconds + time.process_time() - start, self.count + 1
        return vector


def strangers(path: str, count: int, embedding: str) -> None:
    """Prints the share of pairs that are alike, by group."""
    faces = Faces(embedding)
    vectors, labels = [], []
    for row, rgb in _fairface(path, count):
        if (vector := faces.of(rgb)) is not None:
            vectors.append(vector)
            labels.append(row)
    likeness = np.stack(vectors) @ np.stack(vectors).T
    print(f"{embedding}: {len(vectors)} of {count} pictures have a face that is found")
    shares = [_alike(likeness, np.arange(len(vectors)), least) for least in _STEPS]
    print("all pairs: " + ", ".join(f"{s:.3%} at {least:.2f}" for s, least in zip(shares, _STEPS, strict=True)))
    print("| group | pictures | pairs at 0.45 |\n| --- | ---: | ---: |")
    for column in _GROUPS:
        for group in sorted({row[column] for row in labels}):
            rows = np.flatnonzero([row[column] == group for row in labels])
            print(f"| {group} | {len(rows)} | {_alike(likeness, rows, _STEPS[0]):.2%} |")


def _alike(likeness: np.ndarray, rows: np.ndarray, least: float) -> float:
    pairs = likeness[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]
    return float(np.mean(pairs >= least)) if len(pairs) else 0.0


def _fairface(path: str, count: int) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Rows of the labels, drawn by chance, with their pictures."""
    with zipfile.ZipFile(path) as files:
        (table,) = [name for name in files.namelist() if name.endswith("labels.csv")]
        folder = table.removesuffix("labels.csv")
        rows = list(csv.DictReader(io.TextIOWrapper(files.open(table), "utf-8")))
        for i in np.random.default_rng(0).permutation(len(rows))[:count]:
            data = np.frombuffer(files.read(folder + rows[i]["file"]), np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if image is not None:
                yield rows[i], np.ascontiguousarray(image[:, :, ::-1])


def clips(folder: str) -> None:
    """Prints equal error rate and CPU time of each embedding."""
    print(
        "| embedding | faces | equal error rate | of one person, 1 % below | of others, 1 ‰ above | one face, CPU ms |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in EMBEDDINGS:
        faces = Faces(name)
        vectors, who = [], []
        for person, rgb in _known(Path(folder)):
            if (vector := faces.of(rgb)) is not None:
                vectors.append(vector)
                who.append(person)
        upper = np.triu_indices(len(who), 1)
        likeness = (np.stack(vectors) @ np.stack(vectors).T)[upper]
        same = (np.array(who)[:, None] == np.array(who))[upper]
        one, others = np.sort(likeness[same]), np.sort(likeness[~same])
        print(
            f"| {name} | {len(who)} | {_equal_error(one, others):.2%} | {np.quantile(one, 0.01):.2f} | "
            f"{np.quantile(others, 0.999):.2f} | {1e3 * faces.seconds / faces.count:.0f} |"
        )


def _known(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for person, places in PEOPLE.items():
        for name, (x, y, width, height) in places:
            frames = pictures(folder / name)
            for i in np.linspace(0, len(frames) - 1, _FACES // len(places)).astype(int):
                h, w = frames[i].shape[:2]
                part = frames[i][int(y * h) : int((y + height) * h), int(x * w) : int((x + width) * w)]
                yield person, np.ascontiguousarray(part)


def _equal_error(one: np.ndarray, others: np.ndarray) -> float:
    """Of sorted likenesses: the rate at which as many pairs of one person are missed as others are taken for one."""
    least = np.concatenate([one, others])
    missed = np.searchsorted(one, least) / len(one)
    mistaken = 1 - np.searchsorted(others, least) / len(others)
    return float(np.min(np.maximum(missed, mistaken)))


def main() -> None:
    """Measures what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["strangers", "clips"])
    parser.add_argument("path")
    parser.add_argument("--pictures", type=int, default=2400)
    parser.add_argument("--embedding", choices=EMBEDDINGS, default="sface")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.what == "clips":
        clips(args.path)
    else:
        strangers(args.path, args.pictures, args.embedding)


if __name__ == "__main__":
    main()
