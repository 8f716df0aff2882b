"""Shards of prepared data: rows come back as they were written, in order or mixed, and other files are refused."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import AGE_GENDER, EMOTION, Geometry
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from training.data.prepared import PreparedSet, fraction, is_prepared, open_prepared
from training.data.shards import (
    INFO_FILE,
    PreparedInfo,
    check_settings,
    read_shard_done,
    samples_digest,
    shard_path,
    write_info,
    write_shard,
)
from training.datasets import DataError, LabelledPicture

_ROWS = (300, 140, 0, 2000)


def make_info(geometry: Geometry = AGE_GENDER, **fields: object) -> PreparedInfo:
    values = {"kind": "imdb", "margin": 0.125, "whole_picture": False, "min_face": 40, "shard_size": 2000}
    return PreparedInfo.model_validate({**values, "geometry": geometry, "landmarks_sha256": "0" * 64, **fields})


def make_sample(number: int) -> LabelledPicture:
    """Labels follow from the number; every third lacks them all."""
    name, pixels = f"{number:02d}/{number}.jpg", np.zeros((2, 2), np.uint8)
    if number % 3 == 2:
        return LabelledPicture(name, pixels)
    votes = np.zeros(7, np.float32)
    votes[number % 7] = 0.75
    return LabelledPicture(
        name,
        pixels,
        splits=("train" if number % 2 else "Validation",),
        group=f"person {number // 10}",
        emotion=EMOTIONS[number % 7],
        votes=votes,
        age=(number % 90, number % 90 + 1.0),
        female=number % 2 == 0,
        race="Indian",
    )


def make_chip(number: int, shape: tuple[int, ...]) -> np.ndarray:
    """The number is in the first two bytes."""
    chip = np.full(shape, number % 251, np.uint8)
    chip.reshape(-1)[:2] = number // 256, number % 256
    return chip


def number_of(chips: np.ndarray) -> list[int]:
    flat = chips.reshape(len(chips), -1).astype(int)
    return (flat[:, 0] * 256 + flat[:, 1]).tolist()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """Four shards, one of them empty."""
    folder = tmp_path_factory.mktemp("prepared")
    geometry = EMOTION
    info, start = make_info(geometry, shards=_ROWS, complete=True, pictures=sum(_ROWS)), 0
    for index, rows in enumerate(_ROWS):
        numbers = range(start, start + rows)
        chips = [make_chip(number, info.shape) for number in numbers]
        write_shard(folder, info, index, [make_sample(number) for number in numbers], chips, Counter())
        start += rows
    write_info(folder, info)
    return open_prepared(folder)


def test_a_colour_chip_and_its_labels_come_back(tmp_path: Path) -> None:
    info = make_info(shards=(1,), complete=True, pictures=3)
    chip = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    samples = [make_sample(7), make_sample(8), make_sample(9)]
    done = write_shard(tmp_path, info, 0, samples, [None, None, chip], Counter({"no face found": 2}))
    write_info(tmp_path, info)

    assert (done.rows, done.pictures) == (1, 3)
    assert read_shard_done(tmp_path, 0) == done
    (batch,) = open_prepared(tmp_path).batches(10)
    assert np.array_equal(open_prepared(tmp_path).chips(batch), [chip])
    (row,) = batch.drop_columns(["chip"]).to_pylist()
    assert row == {
        "name": "09/9.jpg",
        "size": 80,
        "channels": 3,
        "splits": ["train"],
        "group": "person 0",
        "emotion": EMOTIONS[2],
        "votes": [0, 0, 0.75, 0, 0, 0, 0],
        "age_low": 9,
        "age_high": 10,
        "female": False,
        "race": "Indian",
    }


def test_batches_keep_the_order_and_are_full(data: PreparedSet) -> None:
    batches = list(data.batches(333))
    assert [batch.num_rows for batch in batches] == [333] * 7 + [109]
    numbers = [number for batch in batches for number in number_of(data.chips(batch))]
    assert numbers == list(range(sum(_ROWS)))
    assert [name for batch in batches for name in batch["name"].to_pylist()] == [make_sample(n).name for n in numbers]


def test_only_the_columns_that_are_asked_for_are_read(data: PreparedSet) -> None:
    (batch,) = data.batches(5000, ["age_low", "name"])
    assert batch.schema.names == ["age_low", "name"] and batch.num_rows == sum(_ROWS)


@given(st.text(max_size=20))
def test_fraction_lies_in_the_unit_interval(key: str) -> None:
    assert 0 <= fraction(key) < 1


def test_fraction_is_the_same_everywhere_and_even() -> None:
    assert fraction("person 1") == 0.1251096953035214
    assert np.mean([fraction(str(i)) < 0.15 for i in range(4000)]) == pytest.approx(0.15, abs=0.02)


def test_a_digest_knows_names_labels_and_order() -> None:
    one, two = make_sample(0), make_sample(1)
    digests = {samples_digest(samples) for samples in ([one, two], [two, one], [one], [])}
    assert len(digests) == 4
    assert samples_digest([make_sample(0)]) == samples_digest([one])


def test_what_is_not_prepared_or_not_complete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="prepared.json"):
        open_prepared(tmp_path)
    assert not is_prepared(tmp_path)
    write_info(tmp_path, make_info())
    assert is_prepared(tmp_path)
    with pytest.raises(DataError, match="not complete"):
        open_prepared(tmp_path)
    (tmp_path / INFO_FILE).write_text(json.dumps({"kind": "imdb"}))
    with pytest.raises(DataError, match=INFO_FILE):
        open_prepared(tmp_path)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    write_info(tmp_path, make_info(shards=(5,), complete=True))
    shard_path(tmp_path, 0).write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="part-00000.parquet"):
        read_shard_done(tmp_path, 0)
    with pytest.raises(DataError, match="part-00000.parquet"):
        list(open_prepared(tmp_path).batches(5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"geometry": EMOTION}, "geometry.*64 × 64 rgb, now aligned 48 × 48 grey"),
        ({"kind": "utkface"}, "kind"),
        ({"margin": 0.25}, "margin"),
        ({"split": "train"}, "split .all, now train"),
        ({"min_face": 60}, "min face"),
    ],
)
def test_another_way_to_prepare_is_refused(change: dict[str, object], said: str) -> None:
    there = make_info(complete=True, shards=(7,))
    check_settings(Path("chips"), there, make_info())
    with pytest.raises(UsageError, match=f"chips .*{said}"):
        check_settings(Path("chips"), there, make_info().model_copy(update=change))
