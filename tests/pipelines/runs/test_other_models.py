"""Models of other kinds in the pipeline: three single networks, bare boxes, BGR, few classes, ranges of years."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import write_bundle
from models.cards import Output
from models.geometry import EMOTION, BoxGeometry, Geometry
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from schemas.errors import UsageError
from schemas.tables import EMOTION_COLUMNS
from tests.clips import portrait_clip
from tests.tables import assert_whole, rows

_TEXTS: dict[str, Any] = dict.fromkeys(
    ("description", "architecture", "training_data", "calibration_data", "test_data"), "made up"
)
_TEXTS |= {"limits": "all", "licence_notes": "none"}


def bundle(folder: Path, geometry: Geometry, outputs: dict[str | None, Any], *said: Output, **fields: Any) -> Path:
    """A network that averages its chip [n, s, s, c] to [n, c] and gives fixed linear maps of that.

    Args:
      folder: of the bundle.
      geometry: of its chips.
      outputs: weights [c, k] and biases [k] by output.
      *said: what the card says of them.
      **fields: other fields of the card.
    """
    import keras  # and TensorFlow: seconds, which no process spends that only collects these tests

    channels = 1 if geometry.channels == "grey" else 3
    inputs = keras.Input((geometry.size, geometry.size, channels))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    layers = {name: keras.layers.Dense(len(bias), name=name or "only") for name, (_, bias) in outputs.items()}
    made = {name: layer(mean) for name, layer in layers.items()}
    model = keras.Model(inputs, made.get(None, made))
    for name, (weights, bias) in outputs.items():
        layers[name].set_weights([np.array(weights, np.float32).reshape(channels, -1), np.array(bias, np.float32)])
    write_bundle(folder, model, geometry=geometry, outputs=said, **_TEXTS, **fields)
    return folder


def channel(folder: Path, index: int, channels: str, *, scale: float = 1.0) -> Path:
    """Says as the age what one channel of the bare box is on the average."""
    weights = np.eye(3)[index][:, None] / scale
    years = Output(attribute="age", kind="years", std_years=2.0)
    return bundle(folder, BoxGeometry(32, 0.0, channels), {None: (weights, [0])}, years, scale=scale)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(portrait_clip(tmp_path_factory.mktemp("clip") / "one.mp4", seconds=2).path)


def faces(clip: str, out: Path, **models: Any) -> list[dict[str, Any]]:
    """The rows of `faces` of a run with these models."""
    summary = analyze(clip, str(out), config=make_config(**models), runner="direct")
    assert summary.exit_status == 0
    assert_whole(out)
    found = rows(out, "faces")
    assert found
    return found


def test_channels_come_in_the_order_that_the_card_says(clip: str, tmp_path: Path) -> None:
    models = {
        "r": channel(tmp_path / "r", 0, "rgb"),
        "b": channel(tmp_path / "b", 2, "rgb"),
        "bgr": channel(tmp_path / "bgr", 0, "bgr"),
        "scaled": channel(tmp_path / "scaled", 0, "bgr", scale=1 / 255),
    }
    ages = {
        name: faces(clip, tmp_path / f"out-{name}", emotion_model=None, age_model=str(path))[0]["age"]
        for name, path in models.items()
    }
    assert ages["bgr"] == pytest.approx(ages["b"], abs=0.01)
    assert ages["scaled"] == pytest.approx(ages["b"], abs=0.01)
    assert ages["r"] > ages["b"] + 10  # skin is redder than blue


def test_three_single_networks_fill_their_columns_and_no_others(clip: str, tmp_path: Path) -> None:
    three = ("happy", "sad", "neutral")
    emotion = bundle(
        tmp_path / "emotion",
        EMOTION,
        {None: ([0, 0, 0], np.log([0.5, 0.3, 0.2]))},
        Output(attribute="emotion", kind="logits", classes=three),
    )
    age = bundle(
        tmp_path / "age",
        BoxGeometry(20, 0.4, "grey"),
        {None: ([0, 0], [-99, 0])},
        Output(attribute="age", kind="logits", ranges=((1, 27), (28, 45))),
    )
    gender = bundle(
        tmp_path / "gender",
        BoxGeometry(64, 0.2, "rgb"),
        {"g": ([0] * 6, [math.log(4), 0])},
        Output(attribute="gender", source="g", kind="logits", classes=("female", "male")),
        unknown_below=0.6,
    )
    found = faces(clip, tmp_path / "out", emotion_model=str(emotion), age_model=str(age), gender_model=str(gender))
    for face in found:
        known = {name: face[name] for name in EMOTION_COLUMNS if face[name] is not None}
        expected = {"emotion_happy": 0.5, "emotion_sad": 0.3, "emotion_neutral": 0.2}
        assert known == pytest.approx(expected, abs=1e-5)
        assert face["emotion"] == "happy"
        assert face["age"] == pytest.approx(36.5) and face["age_std"] == pytest.approx(np.arange(28, 46).std())
        assert face["gender"] == "female" and face["gender_female"] == pytest.approx(0.8)


def test_an_attribute_without_a_model_is_null(clip: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    age = channel(tmp_path / "age", 1, "rgb")
    for face in faces(clip, tmp_path / "out", emotion_model=None, age_model=str(age)):
        assert face["age"] is not None
        assert face["gender"] is face["gender_female"] is face["emotion"] is None


def test_one_attribute_of_a_model_that_gives_two(clip: str, tmp_path: Path) -> None:
    for face in faces(clip, tmp_path / "out", emotion_model=None, gender_model="age-gender"):
        assert face["gender_female"] is not None and face["age"] is None


def test_a_combined_and_a_single_model_for_the_same_are_refused() -> None:
    with pytest.raises(UsageError, match="not both"):
        make_config(age_gender_model="somewhere", age_model="age-gender")
