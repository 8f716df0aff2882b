import hashlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import outputs
from models.bundle import RUNTIMES, Bundle, Runtime, bundle_names, bundle_path, check_bundle, load_bundle, read_bundle
from models.cards import read_card
from models.conversion import made_chips
from models.geometry import AGE_GENDER, EMOTION
from models.on_tensorflow import BLOCK
from models.runtime import configure_tensorflow
from schemas.errors import BundleError

OURS = ("age-gender", "emotion", "emotion-fer2013")


def chips(bundle: Bundle, n: int, seed: int = 0) -> np.ndarray:
    geometry = bundle.card.geometry
    shape = (n, geometry.size, geometry.size, 3)[: 3 if geometry.channels == "grey" else 4]
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(params=OURS)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return load_bundle(request.param)


@pytest.fixture(scope="module")
def by_tensorflow() -> Bundle:
    return read_bundle(bundle_path("age-gender"), runtime="tensorflow")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(bundle_path("emotion"), folder)
    return folder


def edit_card(folder: Path, **fields: object) -> None:
    card = json.loads((folder / "card.json").read_text("utf-8"))
    (folder / "card.json").write_text(json.dumps(card | fields), "utf-8")


def test_our_bundles_are_there() -> None:
    assert set(OURS) <= set(bundle_names())
    for name in OURS:
        assert (bundle_path(name) / "model.keras").stat().st_size <= 12e6
        assert (bundle_path(name) / "model.tflite").stat().st_size <= 3e6
        check_bundle(bundle_path(name))


@pytest.mark.parametrize("n", [0, 1, 35])
def test_predictions_have_their_shapes_and_ranges(bundle: Bundle, n: int) -> None:
    output = bundle.predict(chips(bundle, n))
    assert all(value.dtype == np.float32 and len(value) == n for value in output.values())
    if bundle.card.task == "emotion":
        assert set(output) == {"emotion"} and output["emotion"].shape == (n, 7)
        np.testing.assert_allclose(output["emotion"].sum(axis=1), 1, atol=1e-5)
        assert (output["emotion"] >= 0).all()
    else:
        assert set(output) == {"age", "age_std", "gender_female"}
        assert ((output["age"] >= 0) & (output["age"] <= 100) & (output["age_std"] > 0)).all()
        assert ((output["gender_female"] >= 0) & (output["gender_female"] <= 1)).all()


def test_a_chip_gets_the_same_bits_however_many_others_and_whichever_come_with_it(bundle: Bundle) -> None:
    first, others = chips(bundle, 32), chips(bundle, 32, seed=1)
    expected = bundle.predict(first)
    for count in (1, 2, 4, 8, 16):
        for name, values in bundle.predict(first[:count]).items():
            np.testing.assert_array_equal(values, expected[name][:count])
    mixed = others.copy()
    mixed[[0, 30, 31]] = first[[0, 30, 31]]
    for name, values in bundle.predict(mixed).items():
        np.testing.assert_array_equal(values[[0, 30, 31]], expected[name][[0, 30, 31]])


def test_by_tensorflow_a_chip_gets_the_same_bits_in_any_block(by_tensorflow: Bundle) -> None:
    first, mixed = chips(by_tensorflow, BLOCK + 3), chips(by_tensorflow, BLOCK, seed=1)
    mixed[[0, 31]] = first[[0, 31]]
    many, alone = by_tensorflow.predict(first), by_tensorflow.predict(first[:1])
    other = by_tensorflow.predict(mixed)
    for name, values in many.items():
        assert len(values) == BLOCK + 3
        np.testing.assert_array_equal(values[:1], alone[name])
        np.testing.assert_array_equal(values[[0, 31]], other[name][[0, 31]])


def test_litert_runs_our_bundles_and_says_what_tensorflow_says(by_tensorflow: Bundle) -> None:
    by_litert = load_bundle("age-gender")
    assert (by_litert.runtime, by_tensorflow.runtime) == ("litert", "tensorflow")
    seen = made_chips(by_litert.card)
    one, other = by_litert.predict(seen), by_tensorflow.predict(seen)
    assert np.abs(one["age"] - other["age"]).mean() < 0.5
    assert np.abs(one["gender_female"] - other["gender_female"]).mean() < 0.03  # on shades that are no faces


def test_cards_say_how_far_litert_agrees() -> None:
    emotion, own, age_gender = (
        read_card(bundle_path(name)).litert for name in ("emotion", "emotion-fer2013", "age-gender")
    )
    assert emotion and own and age_gender
    for of in (emotion, own):
        assert of.figures["n"] == 3589 and of.figures["emotion_same"] > 0.99 and of.figures["emotion_difference"] < 0.01
    assert age_gender.figures["age_difference"] < 0.3 and age_gender.figures["gender_same"] > 0.99


def test_it_is_loaded_once(bundle: Bundle) -> None:
    assert load_bundle(bundle.card.name) is bundle
    assert load_bundle(bundle_path(bundle.card.name)) is bundle


def test_chips_of_another_kind_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="takes uint8 chips"):
        bundle.predict(chips(bundle, 2).astype(np.float32))
    with pytest.raises(BundleError, match="takes uint8 chips"):
        bundle.predict(chips(bundle, 2)[:, :-1])


@pytest.mark.parametrize(("name", "runtime"), [("model.tflite", None), ("model.keras", "tensorflow")])
def test_a_changed_weight_file_is_damaged(copy: Path, name: str, runtime: Runtime | None) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(BundleError, match="is damaged"):
        read_bundle(copy, runtime=runtime)
    with pytest.raises(BundleError, match="is damaged"):
        check_bundle(copy)


@pytest.mark.parametrize(("name", "runtime"), [("model.tflite", None), ("model.keras", "tensorflow")])
def test_a_missing_weight_file_is_said(copy: Path, name: str, runtime: Runtime | None) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(copy, runtime=runtime)


def test_a_weight_file_that_is_none_does_not_load(copy: Path) -> None:
    nothing = b"nothing" * 10
    sha256 = hashlib.sha256(nothing).hexdigest()
    for name in ("model.tflite", "model.keras"):
        (copy / name).write_bytes(nothing)
    edit_card(copy, sha256=sha256, litert={"sha256": sha256})
    for runtime in RUNTIMES:
        with pytest.raises(BundleError, match="does not load"):
            read_bundle(copy, runtime=runtime)


@pytest.mark.parametrize(
    "change",
    [{"outputs": []}, {"outputs": [{"attribute": "emotion", "kind": "logits"}]}, {"sha256": "abc"}, {"surprise": 1}],
    ids=str,
)
def test_a_wrong_card_is_refused(copy: Path, change: dict[str, object]) -> None:
    edit_card(copy, **change)
    with pytest.raises(BundleError, match="not a valid model card"):
        read_card(copy)


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(BundleError, match="emotion"):
        load_bundle("emotion-huge")


def test_cards_say_what_the_models_are_and_how_good() -> None:
    emotion, own, age_gender = (read_card(bundle_path(name)) for name in ("emotion", "emotion-fer2013", "age-gender"))
    for card in (emotion, own):
        assert card.outputs[0].classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
        assert card.geometry == EMOTION
    assert age_gender.geometry == AGE_GENDER
    assert emotion.figures["ferplus_accuracy"] >= 0.87 and emotion.figures["ferplus_ece"] <= 0.03
    assert own.figures["accuracy"] >= 0.66
    assert age_gender.figures["age_mae"] <= 5.2
    assert age_gender.figures["gender_accuracy"] >= 0.93
    assert abs(age_gender.figures["age_coverage_80"] - 0.8) <= 0.02
    for card in (emotion, own, age_gender):
        figures = card.figures
        for name in ("accuracy", "gender_accuracy"):
            if f"end_to_end_{name}" in figures:
                assert abs(figures[f"end_to_end_{name}"] - figures[f"end_to_end_ready_{name}"]) <= 0.02
        assert card.name in OURS and card.limits and card.licence_notes
    assert abs(age_gender.figures["end_to_end_age_mae"] - age_gender.figures["end_to_end_ready_age_mae"]) <= 0.5
    assert "no picture of IMDB" in age_gender.training_data


def test_a_gpu_that_is_not_there_is_said() -> None:
    if configure_tensorflow("cpu").config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(BundleError, match="TensorFlow sees none"):
        load_bundle("emotion", device="gpu")


@pytest.mark.parametrize(("runtime", "left_alone"), [("litert", ["tensorflow", "keras"]), ("tensorflow", ["jax"])])
def test_loading_says_nothing_on_the_terminal_and_imports_no_more_than_it_needs(
    runtime: str, left_alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    code = (
        "import sys; from models.bundle import bundle_path, read_bundle; "
        f"read_bundle(bundle_path('emotion'), runtime={runtime!r}); assert not {{*{left_alone}}} & {{*sys.modules}}"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert done.stdout == "" and done.stderr == ""


def test_a_mirrored_model_says_the_same_of_a_chip_and_its_mirror_image(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_CLEAR", math.inf)  # no emotion is clear at the first look
    said = []
    for mirror in (True, False):
        edit_card(copy, mirror=mirror)
        bundle = read_bundle(copy)
        seen = chips(bundle, 5)
        turned = np.ascontiguousarray(seen[:, :, ::-1])
        said.append(np.abs(bundle.predict(seen)["emotion"] - bundle.predict(turned)["emotion"]).max())
    assert said[0] < 1e-6 < 1e-4 < said[1]
