"""From IMDB to a run: imdb.mat → prepare → train → bundle → analyze, on a made-up set in IMDB's layout.

The pictures are faces of UTKFace where `../shared/data` is there, else variations of one portrait; each is cut as IMDB
cuts its own: the face in the middle, its size again around it, edges repeated. Names, dates and scores are made up.
"""

import datetime
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from models.cards import read_card
from pipelines.datasets.cut_shards import MISSING, UNREADABLE
from pipelines.datasets.prepare import prepare
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from tests.clips import Clip, head
from tests.runs import made_once
from tests.tables import rows
from training.data.own_face import NO_FACE
from training.data.prepared import open_prepared
from training.data.shards import PreparedInfo
from training.datasets.base import decode
from training.train import train

_UTKFACE = Path(__file__).parents[4] / "shared" / "data" / "utkface.zip"
_GOOD = 120
_BAD = {
    "no gender": 3,
    "face score below 1": 4,
    "a second face": 3,
    "date of birth makes no sense": 2,
    "age outside 0–100": 2,
}


def _faces(count: int) -> Iterator[tuple[np.ndarray, int, bool]]:
    """(close crop [H, W, 3] uint8 RGB, age, female)."""
    chance = np.random.default_rng(0)
    if _UTKFACE.exists():
        with zipfile.ZipFile(_UTKFACE) as archive:
            names = [name for name in archive.namelist() if name.endswith(".jpg")]
            names = [name for name in sorted(names) if int(name.rsplit("/", 1)[-1].split("_")[0]) <= 80]
            for name in chance.choice(names, count, replace=False):
                age, gender = str(name).rsplit("/", 1)[-1].split("_")[:2]
                yield decode(archive.read(str(name)), str(name)), int(age), gender == "1"
    else:
        for i in range(count):
            face = head(300)[70:240, 70:240] * chance.uniform(0.7, 1.1)
            face += chance.normal(0, 4, face.shape)
            yield np.clip(face[:, :: -1 if i % 2 else 1], 0, 255).astype(np.uint8), 20 + i % 50, i % 2 == 0


def _crop(face: np.ndarray) -> np.ndarray:
    """With 40 % of the face's size on each side, as IMDB's; what lies beyond the picture repeats its edge."""
    face = cv2.resize(face, (170, 170), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(face, 68, 68, 68, 68, cv2.BORDER_REPLICATE)


def _cells(values: list[object]) -> np.ndarray:
    """A Matlab cell array, (1, n)."""
    cells = np.empty((1, len(values)), object)
    cells[0] = values
    return cells


def make_imdb(folder: Path) -> None:
    """`imdb_crop/imdb.mat` and its pictures: good ones, and rows of each kind that is to be left out."""
    crops = folder / "imdb_crop"
    crops.mkdir(parents=True)
    table: list[dict[str, object]] = []

    def add(image: bytes | None, age: int, female: bool | None, **other: object) -> None:
        number = len(table)
        person, taken = number // 2, 2000 + number % 15
        born = datetime.date(taken - age, 1 + number % 6, 1 + number % 28)  # had their birthday by 1 July
        path = f"{person % 100:02d}/nm{person:07d}_rm{number:010d}_{born.isoformat()}_{taken}.jpg"
        if image is not None:
            (crops / path).parent.mkdir(exist_ok=True)
            (crops / path).write_bytes(image)
        table.append(
            {
                "dob": born.toordinal() + 366,  # Matlab counts from the year 0
                "photo_taken": taken,
                "full_path": path,
                "gender": np.nan if female is None else float(not female),
                "name": f"Person {person}",
                "face_location": np.array([[30.5, 40.5, 200.5, 210.5]]),
                "face_score": 2.5 + number % 4,
                "second_face_score": np.nan,
                "celeb_id": float(person + 1),
                **other,
            }
        )

    first = b""
    for face, age, female in _faces(_GOOD):
        image = cv2.imencode(".jpg", _crop(face)[..., ::-1])[1].tobytes()
        first = first or image
        add(image, age, female)
    for _ in range(_BAD["no gender"]):
        add(first, 30, None)
    for score in (-np.inf, -np.inf, 0.4, 0.99):
        add(first, 30, True, face_score=score)
    for _ in range(_BAD["a second face"]):
        add(first, 30, True, second_face_score=1.7)
    for day in (0, 366):
        add(first, 30, True, dob=day)
    add(first, 130, True)
    add(first, -4, True)
    add(None, 30, True)
    add(first[: len(first) // 50], 30, True)
    add(cv2.imencode(".jpg", np.full((300, 300), 127, np.uint8))[1].tobytes(), 30, True)

    columns = {name: [row[name] for row in table] for name in table[0]}
    struct: dict[str, np.ndarray] = {
        "dob": np.array([columns["dob"]], np.int32),
        "photo_taken": np.array([columns["photo_taken"]], np.uint16),
        "celeb_names": _cells([f"Person {i}" for i in range(len(table) // 2 + 1)]),
    }
    for name in ("full_path", "name", "face_location"):
        struct[name] = _cells(columns[name])
    for name in ("gender", "face_score", "second_face_score", "celeb_id"):
        struct[name] = np.array([columns[name]], np.float64)
    scipy.io.savemat(crops / "imdb.mat", {"imdb": struct}, do_compression=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set and its chips."""

    def make(folder: Path) -> None:
        make_imdb(folder)
        prepare(folder / "imdb_crop" / "imdb.mat", folder / "chips", runner="direct", shard_size=64)

    return made_once(tmp_path_factory, "imdb", make) / "chips"


@pytest.fixture(scope="module")
def info(prepared: Path) -> PreparedInfo:
    return open_prepared(prepared).info


def test_the_file_has_the_real_ones_layout(prepared: Path) -> None:
    imdb = scipy.io.loadmat(prepared.parent / "imdb_crop" / "imdb.mat")["imdb"]
    assert imdb.shape == (1, 1)
    fields = {name: imdb[name][0, 0] for name in imdb.dtype.names}
    assert {name: field.shape for name, field in fields.items() if name != "celeb_names"} == dict.fromkeys(
        fields.keys() - {"celeb_names"}, (1, _GOOD + sum(_BAD.values()) + 3)
    )
    assert fields["full_path"][0, 0][0].startswith("00/nm0000000_rm")
    assert (fields["dob"].dtype, fields["photo_taken"].dtype) == (np.int32, np.uint16)


def test_prepare_filters_and_says_what_it_left_out(info: PreparedInfo) -> None:
    assert (info.kind, info.whole_picture) == ("imdb", False)
    assert info.pictures == _GOOD + sum(_BAD.values()) + 3
    assert {reason: info.dropped[reason] for reason in _BAD} == _BAD
    assert (info.dropped[MISSING], info.dropped[UNREADABLE]) == (1, 1)
    assert info.dropped[NO_FACE] >= 1
    assert info.count + sum(info.dropped.values()) == info.pictures
    assert info.count > 0.6 * _GOOD


def test_ages_and_genders_are_those_of_the_pictures(prepared: Path) -> None:
    wanted = [(age, female) for _, age, female in _faces(_GOOD)]
    data = open_prepared(prepared)
    (batch,) = data.batches(1000, ["name", "group", "age_low", "age_high", "female"])
    for row in batch.to_pylist():
        number = int(row["name"].split("_rm")[1].split("_")[0])
        assert (row["age_low"], row["age_high"], row["female"]) == (*[wanted[number][0]] * 2, wanted[number][1])
    persons = Counter(batch["group"].to_pylist())
    assert min(persons.values()) >= 1 and max(persons.values()) == 2


def test_the_road_ends_in_tables_with_ages(prepared: Path, tmp_path: Path, portrait: Clip) -> None:
    bundle = tmp_path / "imdb-model"
    options = {"widths": (4, 8), "blocks": (1, 1)}  # what it learns does not matter here
    trained = train(
        "age-gender",
        [prepared],
        tmp_path / "run",
        bundle=bundle,
        device="cpu",
        schedule={"epochs": 1, "batch": 16},
        options=options,
        test=0.15,
        calibration=0.1,
    )
    card = read_card(bundle)
    assert (card.name, card.architecture, card.task) == ("imdb-model", "age-gender-resnet", "age_gender")
    assert "imdb" in card.training_data.lower()
    assert trained.keys() == {"imdb-model"} and card.figures == trained["imdb-model"]

    config = make_config(emotion_model=None, age_gender_model=str(bundle), lost_after=0.5)
    assert analyze(str(portrait.path), str(tmp_path / "out"), config=config, runner="direct").exit_status == 0
    faces = rows(tmp_path / "out", "faces")
    assert len(faces) == 2  # seconds of the clip
    for row in faces:
        assert 0 <= row["age_low"] <= row["age"] <= row["age_high"] <= 120
        assert 0 <= row["gender_female"] <= 1
        assert row["emotion"] is None
    (track,) = rows(tmp_path / "out", "tracks")
    assert track["age_low"] <= track["age"] <= track["age_high"]
