"""An overview of a data set before training, as one HTML page: labels, some of the pictures, and what is wrong."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from schemas.iteration import Reservoir
from schemas.tables import EMOTIONS
from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.duplicates import difference_hash, near_duplicates, pixel_digest

# The sheet of pictures has a row for each emotion, decade or age group, with this many pictures.
_IN_ROW = 10
_THUMBNAIL = 96

# Number of entries that are kept of lists that can be long.
_EXAMPLES = 50

# Two ages of the same picture contradict each other if they are further apart than this many years.
_YEARS_APART = 5.0

_UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Groups of pictures that are copies of each other.

    Attributes:
      groups: number of groups of two or more pictures.
      pictures: number of pictures in these groups.
      conflicting: number of groups whose labels contradict each other: in emotion, in gender, or in age by more than
        five years.
      across_splits: number of groups with pictures in different splits.
      examples: the first groups, those with conflicting labels first; `name: labels` of each picture.
    """

    groups: int
    pictures: int
    conflicting: int
    across_splits: int
    examples: list[list[str]]


@dataclasses.dataclass(frozen=True)
class Overview:
    """What is in a data set, and what is wrong with it.

    Attributes:
      kind: kind of data set.
      path: folder or file of the data set.
      samples: number of labelled pictures.
      dropped: number of pictures that the reader left out, by reason.
      splits: pictures by split; one picture can be in several.
      emotions: pictures by emotion and split; "all" counts each picture once.
      votes: number of pictures with FER+ votes.
      ages: pictures by age in steps of five years, or by age group where the data set has only groups.
      gender: pictures by apparent gender; empty if the data set does not have it.
      races: pictures by race, in the data set's own words.
      opened: number of pictures that were opened; all further fields are about these.
      sizes: the most frequent sizes, width × height in pixels.
      blank: number of pictures of a single colour.
      unreadable: number of pictures that cannot be read.
      unreadable_examples: what was wrong with the first of them.
      exact: copies with the same pixels.
      near: copies of the same photograph with different pixels, by difference hash.
      sheet: the pictures of each row of the sheet: (JPEG in base64, labels in words).
    """

    kind: str
    path: str
    samples: int
    dropped: dict[str, int]
    splits: dict[str, int]
    emotions: dict[str, dict[str, int]]
    votes: int
    ages: dict[str, int]
    gender: dict[str, int]
    races: dict[str, int]
    opened: int
    sizes: dict[str, int]
    blank: int
    unreadable: int
    unreadable_examples: list[str]
    exact: Duplicates
    near: Duplicates
    sheet: dict[str, list[tuple[str, str]]]

    def to_json(self) -> dict[str, Any]:
        """All fields except the pictures."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "sheet"}


def examine(dataset: DataSet, *, limit: int | None = None, seed: int = 0, console: Console | None = None) -> Overview:
    """Read the labels of a data set, then its pictures.

    Some hundred bytes are kept of each picture, never the picture itself.

    Args:
      dataset: any data set.
      limit: number of pictures to open at most, chosen at random; None: all.
      seed: seed of this choice, and of the choice of pictures on the sheet.
      console: console to show a progress bar on; None: no progress bar.

    Raises:
      DataError: a row is wrong, or there is no labelled picture.
    """
    dropped: Counter[str] = Counter()
    labels = _Labels(seed)
    for sample in dataset.samples(dropped):
        labels.add(sample)
    if not labels.count:
        raise DataError(f"{dataset.root} has no labelled pictures{_because(dropped)}.")

    wanted = _choose(labels.count, list(labels.sheet()), limit, seed)
    pictures = _Pictures()
    samples: Iterator[LabelledPicture] = itertools.compress(dataset.samples(), wanted)
    on_sheet = {index: row for row, indices in labels.rows.items() for index in indices if wanted[index]}
    sheet: dict[str, list[tuple[str, str]]] = {row: [] for row in sorted(labels.rows, key=_row_order)}
    bar = track(
        zip(np.flatnonzero(wanted).tolist(), samples, strict=True),
        "opening pictures",
        int(wanted.sum()),
        console=console,
        disable=console is None,
        transient=True,
    )
    for index, sample in bar:
        image = pictures.add(sample)
        if image is not None and index in on_sheet:
            sheet[on_sheet[index]].append((_thumbnail(image), describe(sample)))

    return Overview(
        kind=dataset.kind,
        path=str(dataset.root).rstrip("/"),
        samples=labels.count,
        dropped={reason: count for reason, count in dropped.most_common() if count},
        splits=dict(labels.splits),
        emotions={name: dict(labels.emotions[name]) for name in EMOTIONS if name in labels.emotions},
        votes=labels.votes,
        ages={label: count for (_, label), count in sorted(labels.ages.items())},
        gender={} if set(labels.gender) == {_UNKNOWN} else dict(labels.gender.most_common()),
        races=dict(labels.races.most_common()),
        opened=len(pictures.names),
        sizes=dict(pictures.sizes.most_common(_EXAMPLES)),
        blank=pictures.blank,
        unreadable=pictures.unreadable,
        unreadable_examples=pictures.errors,
        exact=pictures.exact(),
        near=pictures.near(),
        sheet={row: tiles for row, tiles in sheet.items() if tiles},
    )


def page(overview: Overview) -> str:
    """The overview as an HTML page that needs no other files."""
    folder = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.undefined = jinja2.StrictUndefined
    return environment.get_template("overview.html.j2").render(overview=overview, thumbnail=_THUMBNAIL)


def print_summary(overview: Overview, console: Console) -> None:
    """Print the figures of an overview."""
    console.print(f"{overview.path}: {overview.kind}, {overview.samples:,} pictures", highlight=False, markup=False)
    splits = list(overview.splits)
    if overview.emotions:
        table = Table("emotion", *splits, "all", box=None)
        for emotion, counts in overview.emotions.items():
            table.add_row(emotion, *(f"{counts.get(split, 0):,}" for split in [*splits, "all"]))
        console.print(table, markup=False, highlight=False)
    table = Table("", "", box=None, show_header=False)
    counted = {"splits": overview.splits, "ages": overview.ages, "gender": overview.gender, "race": overview.races}
    for title, counts in counted.items():
        if counts:
            table.add_row(title, _list(counts))
    table.add_row("left out", _list(overview.dropped) or "nothing")
    table.add_row("opened", f"{overview.opened:,}; {overview.unreadable:,} unreadable, {overview.blank:,} blank")
    table.add_row("duplicates", _sentence(overview.exact))
    table.add_row("near-duplicates", _sentence(overview.near))
    console.print(table, markup=False, highlight=False)
    for text in overview.unreadable_examples[:3]:
        console.print(f"  {text}", markup=False, highlight=False)


def describe(sample: LabelledPicture) -> str:
    """The labels of a picture in words."""
    gender = None if sample.female is None else "female" if sample.female else "male"
    age = None if sample.age is None else _age_text(sample.age)
    return ", ".join(word for word in (sample.emotion, age, gender, sample.race) if word)


class _Labels:
    """Counts the labels of all samples, and chooses the samples for the sheet."""

    def __init__(self, seed: int):
        self.count = 0
        self.votes = 0
        self.splits: Counter[str] = Counter()
        self.emotions: dict[str, Counter[str]] = {}
        self.ages: Counter[tuple[float, str]] = Counter()
        self.gender: Counter[str] = Counter()
        self.races: Counter[str] = Counter()
        generator = random.Random(seed)
        self._drawn = defaultdict[str, Reservoir[int]](lambda: Reservoir(_IN_ROW, generator))

    def add(self, sample: LabelledPicture) -> None:
        self.splits.update(sample.splits)
        self.votes += sample.votes is not None
        if sample.emotion:
            self.emotions.setdefault(sample.emotion, Counter()).update((*sample.splits, "all"))
        if sample.age:
            self.ages[_age_bin(sample.age)] += 1
        self.gender[_UNKNOWN if sample.female is None else "female" if sample.female else "male"] += 1
        if sample.race:
            self.races[sample.race] += 1
        self._drawn[_row(sample)].offer(self.count)
        self.count += 1

    @property
    def rows(self) -> dict[str, list[int]]:
        """Indices of samples drawn at random for each row of the sheet."""
        return {row: drawn.items for row, drawn in self._drawn.items()}

    def sheet(self) -> Iterator[int]:
        """Indices of the samples on the sheet, one from each row in turn."""
        turns = itertools.zip_longest(*self.rows.values())
        return (index for turn in turns for index in turn if index is not None)


class _Pictures:
    """Collects sizes, errors and fingerprints of the opened pictures."""

    def __init__(self) -> None:
        self.sizes: Counter[str] = Counter()
        self.blank = 0
        self.unreadable = 0
        self.errors: list[str] = []
        self.names: list[str] = []
        self._labels: list[tuple[str | None, tuple[float, float] | None, bool | None]] = []
        self._texts: list[str] = []
        self._splits: list[tuple[str, ...]] = []
        self._digests: list[bytes] = []
        self._hashes: list[bytes] = []

    def add(self, sample: LabelledPicture) -> np.ndarray | None:
        """Add a picture and return it; None if it cannot be read."""
        try:
            image = sample.picture()
        except DataError as error:
            self.unreadable += 1
            if len(self.errors) < _EXAMPLES:
                self.errors.append(str(error))
            return None
        self.sizes[f"{image.shape[1]} × {image.shape[0]}"] += 1
        self.blank += bool(image.std() < 1)
        self.names.append(sample.name)
        self._labels.append((sample.emotion, sample.age, sample.female))
        self._texts.append(describe(sample))
        self._splits.append(sample.splits)
        self._digests.append(pixel_digest(image))
        self._hashes.append(difference_hash(image).tobytes())
        return image

    def exact(self) -> Duplicates:
        first: dict[bytes, int] = {}
        return self._duplicates([first.setdefault(digest, i) for i, digest in enumerate(self._digests)], apart=1)

    def near(self) -> Duplicates:
        hashes = np.frombuffer(b"".join(self._hashes), np.uint64).reshape(-1, 4)
        return self._duplicates(near_duplicates(hashes).tolist(), apart=2)

    def _duplicates(self, first: Sequence[int], apart: int) -> Duplicates:
        """Groups of at least `apart` different pictures, given the first picture of each one's group."""
        groups: dict[int, list[int]] = {}
        for i, leader in enumerate(first):
            if leader != i:
                groups.setdefault(leader, [leader]).append(i)
        found = [group for group in groups.values() if len({self._digests[i] for i in group}) >= apart]
        conflicting = [_contradict([self._labels[i] for i in group]) for group in found]
        shown = sorted(range(len(found)), key=lambda g: not conflicting[g])[:_EXAMPLES]
        return Duplicates(
            groups=len(found),
            pictures=sum(len(group) for group in found),
            conflicting=sum(conflicting),
            across_splits=sum(len({self._splits[i] for i in group}) > 1 for group in found),
            examples=[[f"{self.names[i]}: {self._texts[i]}" for i in found[g]] for g in shown],
        )


def _contradict(labels: Sequence[tuple[str | None, tuple[float, float] | None, bool | None]]) -> bool:
    emotions = {emotion for emotion, _, _ in labels if emotion is not None}
    ages = [age for _, age, _ in labels if age is not None]
    genders = {female for _, _, female in labels if female is not None}
    apart = max(age[0] for age in ages) - min(age[1] for age in ages) if ages else 0
    return len(emotions) > 1 or len(genders) > 1 or apart > _YEARS_APART


def _choose(count: int, first: list[int], limit: int | None, seed: int) -> np.ndarray:
    """Mask [count] of the pictures to open: first those on the sheet, then others at random up to the limit."""
    if limit is None or limit >= count:
        return np.ones(count, bool)
    order = np.concatenate([np.array(first, np.int64), np.random.default_rng(seed).permutation(count)])
    _, place = np.unique(order, return_index=True)
    mask = np.zeros(count, bool)
    mask[order[np.sort(place)[:limit]]] = True
    return mask


def _row(sample: LabelledPicture) -> str:
    """Name of the row of the sheet that a sample belongs to."""
    if sample.emotion:
        return sample.emotion
    if sample.age is None:
        return "no age"
    if sample.age[0] != sample.age[1]:
        return f"{_age_text(sample.age)} years"
    decade = int(sample.age[0]) // 10 * 10
    return f"{decade}–{decade + 9} years"


def _row_order(row: str) -> tuple[float, str]:
    if row in EMOTIONS:
        return (EMOTIONS.index(row), row)
    return (len(EMOTIONS) + float(row.split("–")[0]) if row[0].isdigit() else math.inf, row)


def _age_text(age: tuple[float, float]) -> str:
    return f"{age[0]:g}" if age[0] == age[1] else f"{age[0]:g}–{age[1]:g}"


def _age_bin(age: tuple[float, float]) -> tuple[float, str]:
    """Position of an age in the histogram, and the label of its bar."""
    if age[0] != age[1]:
        return age[0], _age_text(age)
    low = math.floor(age[0] / 5) * 5
    return low, f"{low}–{low + 4}"


def _thumbnail(image: np.ndarray) -> str:
    scale = _THUMBNAIL / max(image.shape[:2])
    width, height = (max(1, round(scale * side)) for side in (image.shape[1], image.shape[0]))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return base64.b64encode(data.tobytes()).decode()


def _sentence(found: Duplicates) -> str:
    if not found.groups:
        return "none"
    return (
        f"{found.groups:,} groups of {found.pictures:,} pictures, {found.conflicting:,} with conflicting labels, "
        f"{found.across_splits:,} across splits"
    )


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _because(dropped: Counter[str]) -> str:
    reasons = {reason: count for reason, count in dropped.items() if count}
    return f" (left out: {_list(reasons)})" if reasons else ""
