"""Networks for LiteRT: made with the bundle or at its first use, compared, and refused where they say other things."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import conversion
from models.bundle import check_bundle, load_bundle, read_bundle, weights_sha256, write_bundle
from models.cards import Card, Output, read_card, write_card
from models.conversion import with_converted
from models.geometry import EMOTION
from models.on_litert import litert_network
from models.on_tensorflow import tensorflow_network
from models.runtime import configure_tensorflow
from pipelines.settings import model_ref
from schemas.errors import BundleError

CHIPS = np.random.default_rng(0).integers(0, 256, (40, 48, 48), np.uint8)
_TEXTS: dict[str, Any] = dict.fromkeys(
    ("description", "architecture", "training_data", "calibration_data", "test_data"), "made up"
)
_TEXTS |= {"limits": "all", "licence_notes": "none"}
_OUTPUT = Output(attribute="emotion", kind="logits", classes=("happy", "sad"))


@pytest.fixture(scope="module")
def model() -> Any:
    """Two emotions by a small convolution and the mean."""
    configure_tensorflow("cpu")
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 1))
    features = keras.layers.Conv2D(64, 5, strides=4, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(features)))


def write(folder: Path, model: Any, **fields: Any) -> Card:
    return write_bundle(folder, model, geometry=EMOTION, outputs=(_OUTPUT,), scale=1 / 255, **_TEXTS, **fields)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, model: Any) -> Path:
    """A bundle with its file for LiteRT."""
    folder = tmp_path_factory.mktemp("written") / "mine"
    write(folder, model, chips=CHIPS, about="40 noisy chips")
    return folder


@pytest.fixture
def converted(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts to what was found once, which saves seconds."""
    data = (written / "model.tflite").read_bytes()
    monkeypatch.setattr(conversion, "_converted", lambda model: data)


@pytest.fixture
def old(tmp_path: Path, written: Path, converted: None) -> Path:
    """A bundle as facelog wrote it before it knew LiteRT."""
    folder = tmp_path / "old"
    shutil.copytree(written, folder)
    (folder / "model.tflite").unlink()
    write_card(folder, read_card(written).model_copy(update={"litert": None, "name": "old"}))
    return folder


def test_a_bundle_is_written_with_its_file_for_litert(written: Path) -> None:
    card = read_card(written)
    assert card.litert and (card.litert.compared_on, card.litert.figures["n"]) == ("40 noisy chips", 40)
    assert card.litert.figures["emotion_same"] > 0.9 and card.litert.figures["emotion_difference"] < 0.01
    check_bundle(written)
    one, other = read_bundle(written), read_bundle(written, runtime="tensorflow")
    assert (one.runtime, other.runtime) == ("litert", "tensorflow")
    np.testing.assert_allclose(one.predict(CHIPS)["emotion"], other.predict(CHIPS)["emotion"], atol=0.02)


def test_an_old_bundle_is_converted_at_its_first_use_and_never_again(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = model_ref(str(old), "emotion")
    card = read_card(old)
    assert card.litert and ref.sha256 == card.litert.sha256 == weights_sha256(card)
    assert card.litert.compared_on == conversion.MADE_CHIPS
    monkeypatch.setattr(conversion, "convert", None)
    assert with_converted(old) == old and load_bundle(old).runtime == "litert"


def test_an_old_bundle_that_cannot_be_written_is_converted_into_the_cache(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    kept = with_converted(old)
    assert kept.parent == tmp_path / "cache" / "facelog" / "bundles" and kept.name.startswith("old-")
    assert read_card(old).litert is None and not (old / "model.tflite").exists()
    ref = model_ref(str(old), "emotion")
    assert ref.name == str(old) and ref.sha256 == weights_sha256(read_card(kept))
    monkeypatch.setattr(conversion, "convert", None)
    assert load_bundle(old).path == with_converted(old) == kept and list(kept.parent.iterdir()) == [kept]


def test_an_old_bundle_with_other_weights_is_not_converted(old: Path) -> None:
    (old / "model.keras").write_bytes(b"other weights")
    with pytest.raises(BundleError, match="is damaged"):
        model_ref(str(old), "emotion")


@pytest.mark.usefixtures("converted")
def test_what_litert_says_otherwise_tensorflow_runs(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (np.float32(0.5), np.float32("nan")):
        monkeypatch.setattr(
            conversion,
            "litert_network",
            lambda path, wrong=wrong: lambda chips: {None: np.full((len(chips), 2), wrong) * (1, 20)},
        )
        card = write(tmp_path / "mine", model)
        assert card.litert and card.litert.sha256 is None and "says other things" in card.litert.refused
        assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["card.json", "model.keras"]
        assert weights_sha256(card) == card.sha256 == model_ref(str(tmp_path / "mine"), "emotion").sha256
    assert read_bundle(tmp_path / "mine").runtime == "tensorflow"


def test_what_does_not_convert_tensorflow_runs(tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model: Any) -> bytes:
        raise ArithmeticError("no such operation\nand more")

    monkeypatch.setattr(conversion, "_converted", fail)
    card = write(tmp_path / "mine", model)
    assert card.litert and card.litert.refused == "it does not convert: no such operation"


def test_names_of_inputs_and_outputs_are_kept(tmp_path: Path) -> None:
    configure_tensorflow("cpu")
    import keras

    chip, second = keras.Input((6, 6, 3), name="zz"), keras.Input((4,), name="aa")
    mean = keras.layers.GlobalAveragePooling2D()(chip)
    outputs = {"young": keras.layers.Concatenate()([mean, second]), "age": keras.layers.Dense(2)(second)}
    network = keras.Model([chip, second], outputs)
    (tmp_path / "two.tflite").write_bytes(conversion._converted(network))
    generator = np.random.default_rng(0)
    inputs = generator.random((5, 6, 6, 3), np.float32), generator.random((5, 4), np.float32)
    expected, found = tensorflow_network(network, "cpu")(*inputs), litert_network(tmp_path / "two.tflite")(*inputs)
    assert set(expected) == set(found) == {"young", "age"}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)


def test_litert_has_one_thread() -> None:
    code = (
        "import os, numpy as np; from models.bundle import load_bundle; import ai_edge_litert.interpreter\n"
        "def threads(): return len(os.listdir('/proc/self/task'))\n"
        "before = threads()\n"
        "load_bundle('emotion').predict(np.zeros((3, 48, 48), np.uint8)); assert threads() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
