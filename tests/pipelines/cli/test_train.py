"""`facelog train`: how its options change the recipe."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import training.train
from pipelines.cli.train import train

app = typer.Typer()
app.command()(train)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What training was called with, in place of training."""
    seen: list[dict[str, Any]] = []

    def fake(name: str, data: list[Path], out: Path, **others: Any) -> dict[str, dict[str, float]]:
        seen.append({"name": name, "data": data, "out": out, **others})
        return {"mine": {"accuracy": 0.5}}

    monkeypatch.setattr(training.train, "train", fake)
    return seen


def test_options_change_the_recipe(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("test = 0.3\n[schedule]\nbatch = 16\nepochs = 9\n")
    options = ("--epochs", 3, "--rate", 0.01, "--mixed", "--votes", 0.5, "--recipe", file, "--minutes", 5)
    result = call("emotion", "--data", "a", "--data", "b.zip", "--bundle", tmp_path / "mine", *options)
    assert result.exit_code == 0, result.output
    (seen,) = calls
    assert (seen["name"], seen["data"], seen["out"]) == ("emotion", [Path("a"), Path("b.zip")], Path("runs/emotion"))
    assert seen["schedule"] == {"batch": 16, "epochs": 3, "rate": 0.01, "mixed": True}
    assert seen["test"] == 0.3 and seen["minutes"] == 5
    assert [head["votes"] for head in seen["heads"]] == [0.5, 0.0]
    assert "accuracy" in result.stdout and str(tmp_path / "mine") in result.stdout.replace("\n", "")


def test_weights_of_a_trunk(calls: list[dict[str, Any]]) -> None:
    call("age-resnet50", "--data", "a", "--weights", "none")
    call("age-resnet50", "--data", "a", "--weights", "trunk.h5")
    assert [seen["options"]["weights"] for seen in calls] == [None, "trunk.h5"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("emotions", "--data", "a"), "did you mean emotion?"),
        (("emotion", "--data", "no-such-folder"), "no-such-folder"),
        (("emotion", "--data", "a", "--recipe", "no.toml"), "no.toml cannot be read"),
        (("mini-xception", "--data", "a", "--weights", "none"), "has no option 'weights'"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_help_teaches() -> None:
    shown = call("--help").stdout
    assert "facelog train age-gender --data UTKFace/" in shown and "--minutes" in shown
