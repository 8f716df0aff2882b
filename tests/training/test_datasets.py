from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from training.datasets import (
    difference_hash,
    fraction,
    near_duplicates,
    read_fairface,
    read_fer2013,
    read_utkface,
    split_fer2013,
)

Pack = Callable[[Path], Path]


def test_fer2013(fer2013: Path) -> None:
    test = read_fer2013(fer2013, "validation")
    assert test.images.shape == (28, 48, 48) and test.images.dtype == np.uint8
    assert np.bincount(test.labels).tolist() == [4] * 7
    happy = test.labels == EMOTIONS.index("happy")
    np.testing.assert_allclose(test.votes[happy], [[0, 0, 0, 0.6, 0, 0, 0.2]] * 4)
    assert not test.votes[~happy].any()


def test_fer2013_split_leaves_out_blanks_and_copies_of_the_test(fer2013: Path) -> None:
    train, test = read_fer2013(fer2013, "train"), read_fer2013(fer2013, "validation")
    training, held = split_fer2013(train, test, 0.3)
    assert len(training.names) + len(held.names) == 28 and len(held.names) > 0
    assert not {"Training_copy.jpg", "Training_blank.jpg"} & {*training.names, *held.names}
    assert not set(training.names) & set(held.names)


def test_a_zip_reads_as_the_folder(fer2013: Path, utkface: Path, fairface: Path, zipped: Pack) -> None:
    plain, packed = read_fer2013(fer2013, "train"), read_fer2013(zipped(fer2013), "train")
    np.testing.assert_array_equal(plain.images, packed.images)
    np.testing.assert_array_equal(plain.votes, packed.votes)
    for read, folder in ((read_utkface, utkface), (read_fairface, fairface)):
        np.testing.assert_array_equal(read(folder).names, read(zipped(folder)).names)
        np.testing.assert_array_equal(read(folder).ages, read(zipped(folder)).ages)


def test_utkface_keeps_one_photograph_in_one_group(utkface: Path) -> None:
    faces = read_utkface(utkface)
    index = {str(name): i for i, name in enumerate(faces.names)}
    first, again = index["UTKFace/0_0_0_2017.jpg.chip.jpg"], index["UTKFace/50_0_0_2018.jpg.chip.jpg"]
    assert faces.groups[first] == faces.groups[again]
    assert len(set(faces.groups)) == 39
    assert faces.ages[again].tolist() == [50, 50]
    short = index["UTKFace/7_1_2017.jpg.chip.jpg"]
    assert faces.races[short] == "" and faces.female[short] == 1 and faces.ages[short, 0] == 7


def test_fairface_ages_are_ranges(fairface: Path) -> None:
    faces = read_fairface(fairface)
    assert faces.ages[:3].tolist() == [[0, 2], [30, 39], [70, 100]]
    assert faces.female[:2].tolist() == [0, 1]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no UTKFace"):
        read_utkface(tmp_path)


def test_near_duplicates_form_chains() -> None:
    hashes = np.zeros((4, 4), np.uint64)
    hashes[1, 0], hashes[2, 0], hashes[3, 0] = 0b11, 0b1111, 2**40 - 1
    assert near_duplicates(hashes, limit=2).tolist() == [0, 0, 0, 3]


def test_a_hash_survives_another_brightness() -> None:
    picture = np.random.default_rng(0).integers(50, 200, (120, 120), dtype=np.uint8)
    assert (difference_hash(picture) == difference_hash(picture + np.uint8(20))).all()


def test_fractions_are_even_and_always_the_same() -> None:
    values = [fraction(f"picture {i}") for i in range(2000)]
    assert abs(np.mean(values) - 0.5) < 0.03 and 0.12 < np.mean(np.array(values) < 0.15) < 0.18
    assert fraction("facelog") == fraction(b"facelog") == pytest.approx(0.4514384, abs=1e-6)


@pytest.mark.slow
def test_real_fer2013(real: Path) -> None:
    train, test = read_fer2013(real / "fer2013.zip", "train"), read_fer2013(real / "fer2013.zip", "validation")
    assert (len(train.names), len(test.names)) == (28_709, 3_589)
    training, held = split_fer2013(train, test, 0.05)
    assert 0.045 < len(held.names) / len(training.names) < 0.06
    judged = {image.tobytes() for image in test.images}
    assert not any(image.tobytes() in judged for image in training.images)
