"""The configuration of a run: file, options, models."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from models.bundle import bundle_names, bundle_path
from models.cards import read_card
from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL, chosen_device, make_config, model_ref, settled
from schemas.errors import BundleError, UsageError


@pytest.fixture
def age_only(tmp_path: Path) -> str:
    """A bundle that gives age alone."""
    card = read_card(bundle_path(AGE_GENDER_MODEL))
    folder = tmp_path / "age"
    folder.mkdir()
    outputs = tuple(output for output in card.outputs if output.attribute == "age")
    (folder / "card.json").write_text(card.model_copy(update={"outputs": outputs}).model_dump_json())
    return str(folder)


def test_a_gpu_runs_other_weights_so_its_configuration_is_another_one():
    on_cpu = make_config()
    on_gpu = settled(on_cpu, "gpu")
    assert [model.sha256 for model in on_gpu.models] == [
        read_card(bundle_path(name)).sha256 for name in (EMOTION_MODEL, AGE_GENDER_MODEL)
    ]
    assert on_gpu.hash != on_cpu.hash == settled(on_cpu, "cpu").hash
    assert dataclasses.replace(on_gpu, models=on_cpu.models) == on_cpu


def test_auto_is_a_gpu_where_tensorflow_can_use_one(monkeypatch: pytest.MonkeyPatch):
    assert (chosen_device("cpu"), chosen_device("gpu")) == ("cpu", "gpu")
    for there, device in ((True, "gpu"), (False, "cpu")):
        monkeypatch.setattr("pipelines.settings.tensorflow_sees_a_gpu", lambda there=there: there)
        assert chosen_device("auto") == device


def test_the_models_that_come_with_facelog_are_the_default():
    config = make_config()

    assert {EMOTION_MODEL, AGE_GENDER_MODEL} <= set(bundle_names())
    card = read_card(bundle_path(EMOTION_MODEL))
    emotion = config.model("emotion")
    assert emotion and card.litert and (emotion.name, emotion.sha256) == (EMOTION_MODEL, card.litert.sha256)
    assert emotion.figures == card.figures
    assert config.model("age") == config.model("gender") == config.models[1]
    assert len(config.landmarks_sha256) == 64
    assert config == make_config()


def test_models_may_be_left_out():
    config = make_config(emotion_model=None, age_gender_model=None)

    assert config.models == ()
    assert config.hash != make_config().hash


def test_a_model_in_another_place_is_the_same_model(tmp_path: Path):
    copy = tmp_path / "mine"
    copy.mkdir()
    (copy / "card.json").write_bytes((bundle_path(EMOTION_MODEL) / "card.json").read_bytes())

    config = make_config(emotion_model=str(copy))

    assert [model.name for model in config.models] == [str(copy), AGE_GENDER_MODEL]
    assert config.hash == make_config().hash


def test_what_a_card_says_of_results_is_in_the_hash(tmp_path: Path):
    text = (bundle_path(EMOTION_MODEL) / "card.json").read_text()
    card = read_card(bundle_path(EMOTION_MODEL))
    hotter = card.model_copy(update={"outputs": (card.outputs[0].model_copy(update={"temperature": 9.0}),)})
    reworded = card.model_copy(update={"description": "the same"})
    refs = []
    for number, content in enumerate((text, hotter.model_dump_json(), reworded.model_dump_json())):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "card.json").write_text(content)
        refs.append(make_config(emotion_model=str(folder)).hash)

    assert refs[0] == refs[2] != refs[1]


def test_options_win_over_the_file(tmp_path: Path):
    path = tmp_path / "night.toml"
    path.write_text('sample_fps = "all"\n[detection]\nmin_face = 40\n')

    config = make_config(str(path), min_face=120, lost_after=None)

    assert config.sampling.sample_fps is None
    assert config.detection.min_face == 120
    assert config.tracking.lost_after == 2.0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[detection]\nmin_face = -4", "min_face must be above 0"),
        (b"min_face = \xff", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes | None, said: str):
    path = tmp_path / "night.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=said) as refused:
        make_config(str(path))

    assert str(path) in str(refused.value)


def tasks(**options: Any) -> dict[str, str]:
    return {model.task: model.name for model in make_config(**options).models}


def test_the_default_configuration_has_the_hash_of_results_that_are_there():
    """Another model or algorithm changes it, on purpose; nothing else may, or results are computed anew."""
    assert make_config().hash == "683fec37fb47569f69bf4162d76f5fe14d30e48229ae2e4cb90e17d8f8695a72"


def test_a_model_replaces_the_default_for_what_its_card_names(age_only: str):
    assert tasks(models=["emotion-fer2013"]) == {"emotion": "emotion-fer2013", "age_gender": AGE_GENDER_MODEL}
    assert tasks(models=[age_only]) == {"emotion": EMOTION_MODEL, "age": age_only, "gender": AGE_GENDER_MODEL}
    assert tasks(models=[AGE_GENDER_MODEL, EMOTION_MODEL]) == tasks()


def test_attributes_may_be_left_out(age_only: str):
    assert tasks(without=["emotion"]) == {"age_gender": AGE_GENDER_MODEL}
    assert tasks(without=["age"]) == {"emotion": EMOTION_MODEL, "gender": AGE_GENDER_MODEL}
    assert tasks(models=[age_only], without=["emotion", "age"]) == {"gender": AGE_GENDER_MODEL}
    assert tasks(without=["emotion", "age", "gender"]) == {}


def test_models_of_one_attribute_are_as_they_were(age_only: str):
    assert tasks(age_model=age_only) == {"emotion": EMOTION_MODEL, "age": age_only}
    assert tasks(age_model=age_only, gender_model=AGE_GENDER_MODEL, emotion_model=None) == {
        "age": age_only,
        "gender": AGE_GENDER_MODEL,
    }
    names = (AGE_GENDER_MODEL, AGE_GENDER_MODEL)
    hashed = make_config(age_model=names[0], gender_model=names[1]).hash
    assert hashed == "1e6c970a99dde22e8cf41f3f7b5cf14b2b72e140e07810783776b1f341db8f2b"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": [EMOTION_MODEL, "emotion-fer2013"]}, "emotion and emotion-fer2013 both give emotion"),
        ({"models": [AGE_GENDER_MODEL], "age_model": AGE_GENDER_MODEL}, "both give age"),
        ({"without": ["mood"]}, "no attribute 'mood'; known: emotion, age, gender"),
        ({"detector": "cnn"}, "no detector called 'cnn'"),
    ],
)
def test_a_wrong_choice_is_refused(options: dict[str, Any], said: str):
    with pytest.raises(UsageError, match=said):
        make_config(**options)


def test_a_model_for_another_task_is_refused():
    with pytest.raises(UsageError, match="gives age and gender, not emotion"):
        model_ref(AGE_GENDER_MODEL, "emotion")


def test_a_model_that_is_not_there_is_refused():
    with pytest.raises(BundleError, match="no model bundle 'nothing'"):
        make_config(emotion_model="nothing")
