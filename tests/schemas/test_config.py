"""The configuration: the same hash everywhere, another hash for everything that changes rows, checked values."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas import config as config_module
from schemas.config import GROUPS, Config, ModelRef, Quality, Sampling, group_of_each, read_settings, setting_names
from schemas.errors import UsageError

REF = ModelRef("emotion", ("emotion",), "a" * 64, "b" * 64, {"accuracy": 0.6})


# Of facelog since tracks are confirmed.
HOG = {
    "detector": "hog",
    "detect_every": 0.5,
    "min_face": 60,
    "threshold": 0.0,
    "sure_threshold": 0.0,
    "keep_threshold": -0.5,
}
OLD_HASHES = [
    (Config().override(**HOG), "d4728e7f3115843f688c7671352f6f8fe0a0a599e74183066bbc35beccc120c5"),
    (
        Config(landmarks_sha256="d" * 64).override(
            **HOG
            | {"min_face": 40, "sample_fps": "all", "threshold": -0.2, "sure_threshold": 0.1, "keep_threshold": -1}
        ),
        "d7f81895d023aa03704d405475d1491c4993842a746d2fd168d00ee12eb3a876",
    ),
    (
        Config(models=(REF, ModelRef("age-gender", ("age", "gender"), "c" * 64)), landmarks_sha256="d" * 64).override(
            **HOG | {"detect_every": 0, "lost_after": 3, "small_px": 0, "age_gender_samples": 3}
        ),
        "f336ef4e8a6721a98a808169524993e5042924294be9ae8e169694db449349fe",
    ),
]


def read(text: str) -> Config:
    return Config().override(**read_settings(text))


def other(value: Any) -> Any:
    if value == "within":
        return "archive"
    return "other" if isinstance(value, str) else (value or 1) * 0.5 if isinstance(value, float) else value + 1


@pytest.mark.parametrize("name", [name for name in setting_names() if name != "detector_model"])
def test_every_setting_changes_the_hash(name: str):
    """Only the place of a detector's weights does not: their checksum does."""
    config = Config().override(**HOG, persons="within", same_above=0.4)
    value = next(getattr(getattr(config, g), name) for g in GROUPS if hasattr(getattr(config, g), name))
    changed = config.override(**{name: other(value)})

    assert changed.hash != config.hash


@pytest.mark.parametrize(("config", "expected"), OLD_HASHES)
def test_a_configuration_has_the_hash_that_it_always_had(config: Config, expected: str):
    assert config.hash == expected


def test_persons_are_part_of_a_configuration_only_where_they_are_asked_for():
    config = Config().override(**HOG)
    assert config.override(embedding="dlib", embedding_crops=5, same_above=0.3).hash == OLD_HASHES[0][1]
    asked = config.override(persons="archive", embedding="dlib")
    assert Config.from_canonical(asked.canonical_json) == asked
    with pytest.raises(UsageError, match="persons must be 'within' or 'archive', not 'all'"):
        config.override(persons="all")


def test_a_configuration_in_a_footer_is_read_back():
    for config, _ in OLD_HASHES:
        assert Config.from_canonical(config.canonical_json) == dataclasses.replace(config, models=())
    assert Config.from_canonical("{}") == Config()
    later = '{"tracking":{"lost_after":1.0,"motion":"kalman"},"persons":{"same_above":0.5}}'
    assert Config.from_canonical(later) == Config().override(lost_after=1.0)


def test_no_two_groups_have_a_setting_of_one_name():
    with pytest.raises(TypeError, match="first and second both have a setting small_px"):
        group_of_each({"first": Quality, "other": Sampling, "second": Quality})


@pytest.mark.parametrize(
    "change",
    [
        {"models": ()},
        {"models": (dataclasses.replace(REF, sha256="c" * 64),)},
        {"models": (dataclasses.replace(REF, card_sha256="c" * 64),)},
        {"models": (dataclasses.replace(REF, attributes=("age", "gender")),)},
        {"models": (REF, dataclasses.replace(REF, attributes=("age",)))},
        {"landmarks_sha256": "d" * 64},
        {"detector_sha256": "d" * 64},
    ],
)
def test_models_and_landmarks_change_the_hash(change: dict[str, Any]):
    config = Config(models=(REF,))

    assert dataclasses.replace(config, **change).hash != config.hash


@pytest.mark.parametrize("version", ["SCHEMA_VERSION", "ALGORITHM_VERSION"])
def test_versions_change_the_hash(version: str, monkeypatch: pytest.MonkeyPatch):
    before = Config().hash
    monkeypatch.setattr(config_module, version, 99)

    assert Config().hash != before


def test_names_and_figures_of_models_do_not_change_the_hash():
    moved = dataclasses.replace(REF, name="/elsewhere/emotion", figures={"accuracy": 0.7})

    assert Config(models=(moved,)).hash == Config(models=(REF,)).hash


def test_the_hash_is_the_same_in_another_process():
    code = "from schemas.config import Config; print(Config().override(min_face=40).hash)"
    env = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)

    assert there.stdout.strip() == Config().override(min_face=40).hash


def test_whole_and_decimal_spellings_of_a_number_are_one_configuration():
    assert Config().override(sample_fps=4, lost_after=2, min_face=40.0) == Config().override(min_face=40)
    assert Config().override(sample_fps=4).hash == Config().hash


def test_none_leaves_a_setting_as_it_is():
    assert Config().override(min_face=None, sample_fps=None) == Config()


@pytest.mark.parametrize("value", ["all", float("inf")])
def test_all_takes_every_frame(value: str | float):
    assert Config().override(sample_fps=value).sampling.sample_fps is None
    assert read('sample_fps = "all"').sampling.sample_fps is None


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"sample_fps": 0}, "sample_fps must be above 0, not 0"),
        ({"sample_fps": "many"}, "sample_fps takes a number, not 'many'"),
        ({"min_face": -1}, "min_face must be above 0"),
        ({"min_face": 40.5}, "min_face takes a whole number"),
        ({"min_face": float("inf")}, "min_face takes a number"),
        ({"lost_after": float("nan")}, "lost_after takes a number"),
        ({"lost_after": True}, "lost_after takes a number"),
        ({"detect_every": -0.5}, "detect_every must be 0 or more"),
        ({"cut_threshold": -1}, "cut_threshold must be above 0"),
        ({"match_iou": 1.5}, "match_iou must be at most 1"),
        ({"detector": 3}, "detector takes a name"),
        ({"min_fave": 40}, "no setting called 'min_fave'"),
    ],
)
def test_a_wrong_setting_is_refused(setting: dict[str, Any], said: str):
    with pytest.raises(UsageError, match=said):
        Config().override(**setting)


def test_settings_are_read_with_and_without_tables():
    text = "sample_fps = 2\n[detection]\nmin_face = 40\nthreshold = -0.2\n[tracking]\nlost_after = 3\n"

    config = read(text)

    assert config == Config().override(sample_fps=2.0, min_face=40, threshold=-0.2, lost_after=3.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min_face = ", "valid TOML"),
        ("[detection]\nmin_face = 0", "min_face must be above 0"),
        ("[detection]\nlost_after = 1", r"\[detection\] has no setting lost_after"),
        ("[detektion]\nmin_face = 1", r"no table \[detektion\]; known: sampling"),
        ("detection = 1", "no setting called 'detection'"),
        ("[detection]\nmin_face = [40]", "min_face takes a number"),
    ],
)
def test_a_wrong_file_says_itself_and_the_setting(text: str, said: str):
    with pytest.raises(UsageError, match=said) as refused:
        read_settings(text, "night.toml")

    assert "night.toml" in str(refused.value)


def test_the_hash_is_computed_once_a_configuration() -> None:
    config = Config()
    assert config.canonical_json is config.canonical_json and config.hash is config.hash
    assert dataclasses.replace(config, landmarks_sha256="d" * 64).hash != config.hash == Config().hash
    assert config == Config()
