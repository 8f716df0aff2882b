import dataclasses
import itertools
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import DataSet, LabelledPicture, read_dataset
from training.datasets.duplicates import difference_hash, near_duplicates, pixel_digest, with_groups


def noise(seed: int, side: int = 120) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def dataset(samples: list[LabelledPicture]) -> DataSet:
    return DataSet("folder", Path("."), lambda dropped: iter(samples), len(samples))


def test_near_duplicates_form_chains() -> None:
    hashes = np.zeros((4, 4), np.uint64)
    hashes[1, 0], hashes[2, 0], hashes[3, 0] = 0b11, 0b1111, 2**40 - 1
    assert near_duplicates(hashes, limit=2).tolist() == [0, 0, 0, 3]


def test_the_four_words_of_a_hash_count_together() -> None:
    hashes = np.array([[0, 0, 0, 0], [1, 1, 1, 0], [3, 3, 3, 1]], np.uint64)
    assert near_duplicates(hashes, limit=3).tolist() == [0, 0, 2]
    assert near_duplicates(hashes, limit=4).tolist() == [0, 0, 0]


@given(st.lists(st.integers(0, 255), max_size=30), st.integers(0, 3))
def test_near_duplicates_are_the_parts_of_the_graph(numbers: list[int], limit: int) -> None:
    hashes = np.zeros((len(numbers), 4), np.uint64)
    hashes[:, 2] = numbers
    expected = list(range(len(numbers)))
    for _ in numbers:  # the smallest index spreads along the edges
        for i, a in enumerate(numbers):
            near = [expected[j] for j, b in enumerate(numbers) if (a ^ b).bit_count() <= limit]
            expected[i] = min(near)
    assert near_duplicates(hashes, limit).tolist() == expected


def test_a_hash_survives_another_brightness_and_size() -> None:
    picture = noise(0) // 2 + 50
    assert (difference_hash(picture) == difference_hash(picture + np.uint8(20))).all()
    small = cv2.resize(picture, (90, 90), interpolation=cv2.INTER_AREA)
    assert np.bitwise_count(difference_hash(small) ^ difference_hash(picture)).sum() <= 24
    assert np.bitwise_count(difference_hash(noise(1)) ^ difference_hash(picture)).sum() > 24
    assert (difference_hash(np.repeat(picture[..., None], 3, axis=2)) == difference_hash(picture)).all()


def test_digests_know_pixels_and_shape() -> None:
    image = noise(0, 8)
    assert pixel_digest(image) == pixel_digest(image.copy())
    assert pixel_digest(image) != pixel_digest(image.reshape(4, 16))


def test_one_photograph_is_one_group(utkface: Path) -> None:
    samples = {sample.name: sample for sample in with_groups(read_dataset(utkface)).samples()}
    first, again = samples["0_0_0_2017.jpg.chip.jpg"], samples["50_0_0_2018.jpg.chip.jpg"]
    assert first.group == again.group and again.age == (50.0, 50.0)
    assert len({sample.group for sample in samples.values()}) == 39


def test_groups_that_were_there_are_joined() -> None:
    pictures = [noise(0), noise(1), noise(0), noise(2), noise(2)]
    groups = ["anna", "anna", "ben", None, None]
    names = [f"{i}.jpg" for i in range(5)]
    samples = [LabelledPicture(*parts) for parts in zip(names, pictures, [()] * 5, groups, strict=True)]
    grouped = [sample.group for sample in with_groups(dataset(samples)).samples()]
    assert grouped == ["anna", "anna", "anna", "3.jpg", "3.jpg"]


def test_pictures_that_do_not_open_stay_as_they_were(tmp_path: Path) -> None:
    samples = [LabelledPicture("a.jpg", tmp_path / "a.jpg", group="anna"), LabelledPicture("b.jpg", noise(0))]
    assert [sample.group for sample in with_groups(dataset(samples)).samples()] == ["anna", "b.jpg"]
    assert list(with_groups(dataset([])).samples()) == []


def test_real_utkface(real: Path) -> None:
    whole = read_dataset(real / "utkface.zip")
    part = dataclasses.replace(whole, read=lambda dropped: itertools.islice(whole.read(dropped), 3000))
    by_pixels: dict[bytes, set[str | None]] = {}
    samples = list(with_groups(part).samples())
    for sample in samples:
        by_pixels.setdefault(pixel_digest(sample.picture()), set()).add(sample.group)
    assert all(len(groups) == 1 for groups in by_pixels.values())
    assert 0.9 * len(samples) < len({sample.group for sample in samples}) < len(by_pixels) < len(samples)
