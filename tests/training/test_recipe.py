import dataclasses
from pathlib import Path

import pytest

import training
from models.bundle import bundle_path
from models.cards import read_card
from models.zoo import ZOO, find_network
from schemas.errors import UsageError
from training.learning.network import check_options
from training.recipe import RECIPES, Jitter, Recipe, change, find_recipe, read_changes


@pytest.mark.parametrize("name", [*RECIPES, *ZOO])
def test_there_is_a_recipe_for_every_name(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.network in ZOO and (name in RECIPES or recipe.network == name)
    assert all(isinstance(value, str | int | float | None) for value in recipe.flat().values())
    assert change(recipe, {}, "here") == recipe


def test_the_zoo_says_how_its_networks_are_trained() -> None:
    wrn = find_recipe("age-gender-wrn").schedule
    assert (wrn.epochs, wrn.rate, wrn.decay, wrn.optimizer) == (30, 0.1, "steps", "sgd")
    assert find_recipe("emotion-3block").schedule.patience
    copies = {
        name: getattr(find_recipe(name).jitter, "copies", None) for name in ("emotion-hog-landmarks", "emotion-cnn")
    }
    assert copies == {"emotion-hog-landmarks": 2, "emotion-cnn": 0}


def test_the_narrow_wide_resnet_is_a_recipe() -> None:
    path = Path(str(training.__file__)).parent / "shipped" / "age-gender-wrn-narrow.toml"
    recipe = change(find_recipe("age-gender-wrn"), read_changes(path), str(path))
    check_options(find_network(recipe.network), recipe)
    assert recipe.options == {"depth": 10, "width": 2}


def test_the_shipped_emotion_recipe_makes_two_bundles() -> None:
    votes, own = find_recipe("emotion").heads
    assert votes.by_votes and not own.by_votes
    assert (votes.suffix, own.suffix) == ("", "-fer2013")
    assert [head.suffix for head in find_recipe("emotion-fer2013").heads] == [""]


def test_emotion_wide_goes_on_from_emotion() -> None:
    wide = find_recipe("emotion-wide")
    assert wide.further and wide.further.start == "emotion" and wide.mix
    assert wide.mix.voted + wide.mix.wild + wide.mix.posed == pytest.approx(1)
    assert [head.by_votes for head in wide.heads] == [True]
    changed = change(find_recipe("emotion"), {"mix": {"voted": 0.6}, "further": {"kept": 0.1}}, "here")
    assert changed.mix and changed.mix.voted == 0.6 and changed.further and changed.further.kept == 0.1
    assert changed.flat()["mix.voted"] == 0.6


def test_an_unknown_name_is_guessed_at() -> None:
    with pytest.raises(UsageError, match="'emotions'.*did you mean emotion"):
        find_recipe("emotions")


TOML = """
test = 0.2
[schedule]
epochs = 3
decay = "plateau"
[jitter]
degrees = 5.0
[options]
widths = [4, 8]
[[heads]]
name = "one"
votes = 1.0
[[heads]]
name = "two"
suffix = "-two"
"""
YAML = """
test: 0.2
schedule: {epochs: 3, decay: plateau}
jitter: {degrees: 5.0}
options: {widths: [4, 8]}
heads: [{name: one, votes: 1.0}, {name: two, suffix: -two}]
"""


@pytest.mark.parametrize(("name", "text"), [("recipe.toml", TOML), ("recipe.yaml", YAML)])
def test_a_file_changes_what_it_names(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    base = find_recipe("emotion")
    recipe = change(base, read_changes(file), str(file))
    assert recipe.schedule == dataclasses.replace(base.schedule, epochs=3, decay="plateau")
    assert recipe.jitter == dataclasses.replace(base.jitter or Jitter(), degrees=5)
    assert recipe.options == {**base.options, "widths": [4, 8]} and recipe.test == 0.2
    assert [(head.name, head.votes, head.suffix) for head in recipe.heads] == [("one", 1, ""), ("two", 0, "-two")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 3}, "no epochs"),
        ({"schedule": {"epoch": 3}}, r"no schedule.epoch \(did you mean epochs\?\)"),
        ({"jitter": {"degree": 3}}, r"no jitter.degree \(did you mean degrees\?\)"),
        ({"mix": {"wlid": 0.3}}, r"no mix.wlid \(did you mean wild\?\)"),
        ({"heads": [{"vote": 1}]}, r"no heads.vote \(did you mean votes\?\)"),
        ({"schedule": {"epochs": "many"}}, "schedule.epochs is 'many'"),
        ({"schedule": {"decay": "linear"}}, "schedule.decay is 'linear'"),
        ({"schedule": 3}, "schedule is 3"),
    ],
)
def test_what_is_no_change_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=f"^my.toml: .*{said}"):
        change(find_recipe("emotion"), changes, "my.toml")


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "epochs = = 3"), ("a.yaml", "a: [1"), ("b.yaml", "only text"), ("c.toml", None)]
)
def test_what_is_no_recipe_file_is_named(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        read_changes(tmp_path / name)


def test_only_what_the_weights_depend_on_is_decisive() -> None:
    recipe: Recipe = find_recipe("emotion")
    assert dataclasses.replace(recipe, mirror=not recipe.mirror).decisive() == recipe.decisive()
    assert dataclasses.replace(recipe, test=0.3).decisive() != recipe.decisive()


@pytest.mark.parametrize(
    ("name", "file"), [("emotion", "emotion"), ("emotion-fer2013", "emotion-first"), ("age-gender", "age-gender")]
)
def test_the_shipped_models_are_by_the_recipes_that_lie_there(name: str, file: str) -> None:
    path = Path(str(training.__file__)).parent / "shipped" / f"{file}.toml"
    family = file.removesuffix("-first")
    recipe = change(find_recipe(family), read_changes(path), str(path)).flat()
    card = read_card(bundle_path(name)).recipe
    # A field that a card does not know is younger than its model, which was trained with it off.
    assert {field: value for field, value in recipe.items() if (card.get(field) or None) != (value or None)} == {}
    assert {"teachers", "taught", "epochs_done"} <= set(card) - set(recipe)
    for teacher in path.parent.glob(f"{family}-teacher*.toml"):
        change(find_recipe(family), read_changes(teacher), str(teacher))
