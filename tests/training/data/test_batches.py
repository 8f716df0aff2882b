from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import AGE_GENDER, Geometry
from models.zoo import Network, find_network
from pipelines.datasets.prepare import in_rgb
from schemas.errors import UsageError
from schemas.tables import EMOTIONS
from tests.training.conftest import save, smooth_noise
from tests.training.data.test_prepared import make_chip, make_info
from tests.training.parts import make_faces, make_part
from training.data.batches import batches, part_of
from training.data.chip_cache import Fingerprints
from training.data.labelled_faces import CALIBRATION, TRAINING, Faces, _without_judged, read_sets
from training.data.shards import write_info, write_shard
from training.datasets import LabelledPicture
from training.recipe import Jitter, Recipe, change, find_recipe

EMOTION, AGE = find_network("emotion-resnet"), find_network("age-gender-resnet")


def recipe(**changes: float) -> Recipe:
    return change(find_recipe("emotion"), changes, "test")


def read(path: Path, network: Network, cache: Path, **changes: float) -> Faces:
    (faces,) = read_sets([path], network, recipe(**changes), cache)
    return faces


def test_a_set_is_judged_by_its_own_split(fer2013: Path, tmp_path: Path) -> None:
    faces = read(fer2013, EMOTION, tmp_path, calibration=0.3, test=0.5)
    names = np.array([faces.sample(row).name for row in range(len(faces.part))])
    assert set(names[faces.part == "PublicTest"]) == {name for name in names if name.startswith("validation/")}
    left_out = set(names[faces.part == ""])
    assert {"train/angry/Training_copy.jpg", "train/sad/Training_blank.jpg"} <= left_out
    assert (faces.part == TRAINING).sum() > 5 and (faces.part == CALIBRATION).sum() > 2
    ((name, samples),) = faces.tests().items()
    assert name == "PublicTest" and len(list(samples())) == len(list(samples())) == 28
    again = read(fer2013, EMOTION, tmp_path / "elsewhere", calibration=0.3, test=0.5)
    np.testing.assert_array_equal(again.part, faces.part)


def test_pictures_with_the_same_pixels_stay_together(fer2013: Path, tmp_path: Path) -> None:
    pictures = [fer2013 / "train" / emotion / f"Training_{c}0.jpg" for c, emotion in enumerate(EMOTIONS)]
    for i, file in enumerate(pictures):
        (file.with_name(f"Training_again{i}.jpg")).write_bytes(file.read_bytes())
    faces = read(fer2013, EMOTION, tmp_path, calibration=0.5)
    part = {faces.sample(row).name.rsplit("/")[-1]: faces.part[row] for row in range(len(faces.part))}
    assert all(part[file.name] == part[f"Training_again{i}.jpg"] for i, file in enumerate(pictures))
    assert len({part[file.name] for file in pictures}) > 1


def test_near_duplicates_of_what_is_judged_are_left_out_in_every_set(fer2013: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for i in range(12):
        picture = smooth_noise(130 + i if i < 4 else 2000 + i, 48)  # as PublicTest_30.jpg to PublicTest_33.jpg
        save(other / "happy" / f"{i}.jpg", cv2.resize(picture, None, fx=2, fy=2))
    sets = read_sets([fer2013, other], EMOTION, recipe(calibration=0.3, test=0.3), tmp_path)
    assert sets[1].kind != sets[0].kind
    part = {sets[1].sample(row).name: sets[1].part[row] for row in range(12)}
    near = [part[f"happy/{i}.jpg"] for i in range(4)]
    assert set(near) <= {"", "test"} and "" in near
    assert not any(part[f"happy/{i}.jpg"] == "" for i in range(4, 12))


def test_pictures_without_a_hash_are_near_to_none() -> None:
    """With room around the face, pictures have none: they are alike by what is around it."""
    faces = make_faces(3, part=[TRAINING, TRAINING, "test"])
    hashes = np.array([[0] * 4, [3, 0, 0, 0], [1, 0, 0, 0]], np.uint64)
    (cleaned,) = _without_judged([faces], [Fingerprints(np.arange(1, 4, dtype=np.uint64), hashes, np.zeros(3, bool))])
    assert cleaned.part.tolist() == [TRAINING, "", "test"]


def test_the_same_photograph_of_utkface_stays_on_one_side(utkface: Path, tmp_path: Path) -> None:
    faces = read(utkface, AGE, tmp_path, test=0.3, calibration=0.3)
    part = {faces.sample(row).name.rsplit("/")[-1]: faces.part[row] for row in range(len(faces.part))}
    assert part["50_0_0_2018.jpg.chip.jpg"] == part["0_0_0_2017.jpg.chip.jpg"]
    assert set(part.values()) == {TRAINING, CALIBRATION, "test"}
    assert faces.chips.shape == (40, 80, 80, 3)


def test_utkface_is_split_alike_from_the_folder_above(utkface: Path, tmp_path: Path) -> None:
    (utkface / "labels.csv").write_text("name,age\n")  # beside the folder, so that names begin with UTKFace/
    splits = [read(of, AGE, tmp_path, test=0.3, calibration=0.3) for of in (utkface, utkface / "UTKFace")]
    names = [[faces.sample(row).name for row in range(len(faces.part))] for faces in splits]
    assert names[0] != names[1]
    parts = [
        {name.rsplit("/")[-1]: part for name, part in zip(of, faces.part, strict=True)}
        for of, faces in zip(names, splits, strict=True)
    ]
    assert parts[0] == parts[1]


def test_a_picture_that_does_not_read_costs_itself_alone(utkface: Path, tmp_path: Path) -> None:
    bad = next((utkface / "UTKFace").iterdir())
    bad.write_bytes(b"no picture")
    faces = read(utkface, AGE, tmp_path, test=0.3, calibration=0.3)
    left_out = [faces.sample(int(row)).name for row in np.flatnonzero(faces.part == "")]
    assert left_out == [bad.name]


def test_chips_are_cut_once(utkface: Path, tmp_path: Path) -> None:
    first = read(utkface, AGE, tmp_path, test=0.3, calibration=0.3)
    for file in (utkface / "UTKFace").iterdir():
        file.write_bytes(b"")
    again = read(utkface, AGE, tmp_path, test=0.3, calibration=0.3)
    np.testing.assert_array_equal(np.asarray(again.chips), np.asarray(first.chips))


def test_three_emotions_take_only_theirs(fer2013: Path, tmp_path: Path) -> None:
    faces = read(fer2013, find_network("emotion-cnn3"), tmp_path, calibration=0.3)
    assert {faces.sample(row).emotion for row in range(len(faces.part))} == {"happy", "sad", "neutral"}


def test_a_set_without_the_labels_is_named(fer2013: Path, utkface: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="fer2013 .fer2013. has no picture with age or gender, which age-gender-resnet"
    ):
        read(fer2013, AGE, tmp_path)
    with pytest.raises(UsageError, match="utkface .utkface. has no picture with emotion .angry.*emotion-resnet"):
        read(utkface, EMOTION, tmp_path)
    for i in range(10, 15):
        folder = tmp_path / "ages" / f"{i:03d}"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "a.png"), np.full((90, 90, 3), i, np.uint8))
    with pytest.raises(UsageError, match="trained on gender, which .*ages does not tell"):
        read(tmp_path / "ages", AGE, tmp_path, test=0, calibration=0.2)


@given(st.integers(1, 90), st.integers(0, 3), st.booleans())
def test_every_face_comes_once_an_epoch_in_an_order_of_its_own(n: int, epoch: int, sharded: bool) -> None:
    blocks = np.unique([0, n // 3, n // 2, n]) if sharded else None
    part = make_part(make_faces(n, blocks=blocks), make_faces(7))
    order = part.order(1, epoch)
    assert sorted(order) == list(range(n + 7))
    np.testing.assert_array_equal(order, part.order(1, epoch))
    if n > 20:
        assert (order != part.order(1, epoch + 1)).any() and (order != part.order(2, epoch)).any()


def test_shards_are_read_sixteen_at_a_time() -> None:
    part = make_part(make_faces(250, blocks=np.arange(0, 251, 5)))
    order = part.order(1, 0)
    for start in range(0, 240, 80):
        assert len(set(order[start : start + 80] // 5)) == 16
    assert (np.diff(order[:80]) != 1).sum() > 60


def test_batches_hold_the_chips_and_targets_of_the_same_faces() -> None:
    part = make_part(make_faces(40, size=8), make_faces(30, size=6))
    number = np.arange(70, dtype=np.float32)
    stream = batches(part, targets=({"a": number}, {"a": -number}), size=4, batch=16, scaling=(2.0, 1.0), seed=3)
    assert len(stream) == 4
    seen = []
    for chips, targets, weights in stream:
        assert chips.shape == (16, 4, 4, 1)
        pixel = (chips.numpy()[:, 0, 0, 0] - 1) / 2
        seen += targets["a"].numpy().tolist()
        np.testing.assert_array_equal(pixel, targets["a"].numpy() % 40)
        np.testing.assert_array_equal(weights["a"], -targets["a"])
    assert seen == part.order(3, 0)[:64].tolist()
    kept = [chips.numpy()[:, 0, 0, 0] for (chips,) in batches(part, targets=(), size=4, batch=16)]
    np.testing.assert_array_equal(np.concatenate(kept), number % 40)
    (chips, _), *_ = batches(part, targets=(number,), size=4, batch=16, jitter=Jitter(), seed=1)
    assert chips.shape == (16, 4, 4, 1) and chips.dtype == np.float32


def test_one_view_of_the_second_input_stands_beside_each_chip() -> None:
    part = make_part(make_faces(40, size=8))
    views = np.arange(40, dtype=np.float32)[:, None, None] + np.array([[0.0], [0.5]], np.float32)
    stream = batches(part, targets=(), size=4, batch=16, jitter=Jitter(), views=views, seed=1)
    beside = np.concatenate([seen.numpy()[:, 0] for ((_, seen),) in stream])
    np.testing.assert_array_equal(beside // 1, part.order(1, 0)[:32])
    assert 5 < (beside % 1 == 0.5).sum() < 27


def prepared(
    folder: Path, counts: tuple[int, ...] = (300, 140), geometry: Geometry = AGE_GENDER
) -> list[LabelledPicture]:
    """Shards of people, three pictures each."""
    folder.mkdir()
    info = make_info(geometry, complete=True, pictures=sum(counts), shards=counts)
    samples = [
        LabelledPicture(
            f"{i}.jpg", np.zeros((2, 2), np.uint8), group=f"person {i // 3}", age=(i % 90, i % 90), female=i % 2 == 0
        )
        for i in range(sum(counts))
    ]
    start = 0
    for index, count in enumerate(counts):
        chips = [make_chip(i, info.shape) for i in range(start, start + count)]
        write_shard(folder, info, index, samples[start : start + count], chips, {})  # type: ignore[arg-type]
        start += count
    write_info(folder, info)
    return samples


def test_prepared_data_is_read_where_it_lies(tmp_path: Path) -> None:
    samples = prepared(tmp_path / "prepared")
    faces = read(tmp_path / "prepared", AGE, tmp_path / "cache", test=0.2, calibration=0.2)
    assert faces.kind == "imdb" and not (tmp_path / "cache").exists()
    rows = np.random.default_rng(0).permutation(440)
    chips = faces.chips[rows]
    np.testing.assert_array_equal(chips, [make_chip(int(row), (80, 80, 3)) for row in rows])
    np.testing.assert_array_equal(faces.age[:, 0], [sample.age[0] for sample in samples if sample.age])
    for person in range(146):
        assert len(set(faces.part[3 * person : 3 * person + 3])) == 1
    assert 50 < (faces.part == "test").sum() < 130 and 50 < (faces.part == CALIBRATION).sum() < 130
    judged = list(faces.tests()["test"]())
    assert judged[0].picture().shape == (64, 64, 3) and judged[0].female is not None
    part = part_of([faces], TRAINING)
    (chips, ages), *_ = batches(part, targets=(part.age,), size=64, batch=32, seed=1)
    assert chips.shape == (32, 64, 64, 3) and len(np.unique(ages)) > 10


def test_a_network_that_takes_bgr_gets_prepared_chips_in_bgr(tmp_path: Path) -> None:
    wrn = find_network("age-gender-wrn")
    assert wrn.geometry.channels == "bgr"
    prepared(tmp_path / "prepared", (40,), in_rgb(wrn.geometry))
    faces = read(tmp_path / "prepared", wrn, tmp_path / "cache", test=0.2, calibration=0.2)
    in_bgr = [make_chip(row, faces.chips[np.arange(1)].shape[1:])[..., ::-1] for row in range(40)]
    np.testing.assert_array_equal(faces.chips[np.arange(40)], in_bgr)


def test_prepared_for_another_model_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path / "prepared", (10,))
    with pytest.raises(UsageError, match="another geometry.*prepare --geometry age-gender-wrn"):
        read(tmp_path / "prepared", find_network("age-gender-wrn"), tmp_path)
