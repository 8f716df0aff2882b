"""UTKFace: 20,000 faces of all ages with labels in the file name `age_gender_race_date.jpg`; aligned or in the wild.

Source: Zhang, Song and Qi, "Age progression/regression by conditional adversarial autoencoder", CVPR 2017;
https://susanqq.github.io/UTKFace/. It has some photographs several times, with different names and ages;
`duplicates.with_groups` finds these.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.datasets.base import DataError, DataSet, LabelledPicture
from training.datasets.files import Files
from training.datasets.labels import folder_splits

RACES = ("White", "Black", "Asian", "Indian", "Other")

_WHOLE = re.compile(r"\d{1,3}_[01]_[0-4]_\d{4,}")
# Some names lack the race, the date or the gender; what follows the date is not always `.jpg`.
_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>\d?)(?:_(?P<race>\d?))?(?:_(?P<date>\d{4,}).*)?")


def matches(files: Files) -> bool:
    """Whether most of the pictures have such names."""
    some = files.pictures[:200]
    return not files.chosen and 2 * sum(bool(_WHOLE.match(_stem(name))) for name in some) > len(some)


def read(files: Files) -> DataSet:
    """All pictures at any depth, for instance in parts I, II and III; gender 0 is male and 1 female.

    Raises:
      DataError: no picture has such a name.
    """
    if not any(_NAME.fullmatch(_stem(name)) for name in files.pictures):
        raise DataError(f"{files.root} has no pictures with names such as age_gender_race_date.jpg.")

    def samples(dropped: Counter[str]) -> Iterator[LabelledPicture]:
        for name in files.pictures:
            match = _NAME.fullmatch(_stem(name))
            if match is None:
                dropped["name does not tell the age"] += 1
                continue
            age = float(match["age"])
            race = match["race"] or ""
            yield LabelledPicture(
                name,
                files.path(name),
                folder_splits(name.split("/")[:-1]),
                age=(age, age),
                female={"0": False, "1": True}.get(match["gender"]),
                race=RACES[int(race)] if race and int(race) < len(RACES) else None,
            )

    return DataSet("utkface", files.root, samples, len(files.pictures))


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(".", 1)[0]
