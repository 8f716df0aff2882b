import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import BLOCK, Bundle, bundle_names, bundle_path, load_bundle, read_bundle
from models.cards import read_card
from models.geometry import AGE_GENDER, EMOTION
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


@pytest.mark.parametrize("n", [0, 1, BLOCK, BLOCK + 3])
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


def test_a_chip_gets_the_same_bits_whatever_else_is_in_its_block(bundle: Bundle) -> None:
    first, others = chips(bundle, BLOCK), chips(bundle, BLOCK, seed=1)
    expected = bundle.predict(first)
    for row in (0, 31, BLOCK - 1):
        mixed = others.copy()
        mixed[row] = first[row]
        for name, values in bundle.predict(mixed).items():
            assert values[row] == pytest.approx(expected[name][row], abs=0, rel=0)


def test_a_chip_gets_the_same_in_a_full_and_in_a_padded_block(bundle: Bundle) -> None:
    many, alone = bundle.predict(chips(bundle, BLOCK)), bundle.predict(chips(bundle, BLOCK)[:1])
    for name in many:
        np.testing.assert_array_equal(many[name][:1], alone[name])


def test_it_is_loaded_once(bundle: Bundle) -> None:
    assert load_bundle(bundle.card.name) is bundle
    assert load_bundle(bundle_path(bundle.card.name)) is bundle


def test_chips_of_another_kind_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="takes uint8 chips"):
        bundle.predict(chips(bundle, 2).astype(np.float32))
    with pytest.raises(BundleError, match="takes uint8 chips"):
        bundle.predict(chips(bundle, 2)[:, :-1])


def test_a_changed_weight_file_is_damaged(copy: Path) -> None:
    data = bytearray((copy / "model.keras").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "model.keras").write_bytes(data)
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(copy)


def test_a_missing_weight_file_is_said(copy: Path) -> None:
    (copy / "model.keras").unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(copy)


def test_a_weight_file_that_is_none_does_not_load(copy: Path) -> None:
    (copy / "model.keras").write_bytes(b"nothing")
    edit_card(copy, sha256="a6b46dd0d1ae5e86cbc8f37e75ceeb6760230c1ca4ffbcb0c97b96dd7d9c464b")
    with pytest.raises(BundleError, match="does not load|is damaged"):
        load_bundle(copy)


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


def test_reading_cards_and_cutting_chips_does_not_import_tensorflow() -> None:
    code = (
        "import sys; from models import bundle, cards, geometry, landmarks, networks, runtime;"
        "cards.read_card(bundle.bundle_path('emotion')); sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_loading_says_nothing_on_the_terminal_and_leaves_jax_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    code = "from models.bundle import load_bundle; load_bundle('emotion'); import sys; assert 'jax' not in sys.modules"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert done.stdout == "" and done.stderr == ""


def test_a_mirrored_model_says_the_same_of_a_chip_and_its_mirror_image(copy: Path) -> None:
    said = []
    for mirror in (True, False):
        edit_card(copy, mirror=mirror)
        bundle = read_bundle(copy)
        seen = chips(bundle, 5)
        turned = np.ascontiguousarray(seen[:, :, ::-1])
        said.append(np.abs(bundle.predict(seen)["emotion"] - bundle.predict(turned)["emotion"]).max())
    assert said[0] < 1e-6 < 1e-4 < said[1]
