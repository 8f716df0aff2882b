import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli.data import data_app


@pytest.fixture
def app() -> typer.Typer:
    """The command line with nothing but `data`."""
    app = typer.Typer()
    app.add_typer(data_app, name="data")
    return app


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of each of two emotions."""
    folder = tmp_path / "pictures"
    for i, emotion in enumerate(("happy", "happy", "sad", "sad")):
        (folder / emotion).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (48, 48), dtype=np.uint8)
        assert cv2.imwrite(str(folder / emotion / f"{i}.png"), noise)
    return folder


def test_the_page_and_the_summary(
    app: typer.Typer, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data", "show", "pictures"])
    assert result.exit_code == 0, result.output
    assert "folder, 4 pictures" in result.stdout and "The page is pictures.html." in result.stdout
    assert "<h2>Emotions by split</h2>" in (tmp_path / "pictures.html").read_text("utf-8")


def test_json_alone(app: typer.Typer, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data", "show", str(pictures), "--set", "folder", "--limit", "3", "--json"])
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["samples"], values["opened"]) == (4, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_json_and_a_page(app: typer.Typer, pictures: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "page.html"
    result = CliRunner().invoke(app, ["data", "show", str(pictures), "--json", "-o", str(target)])
    assert json.loads(result.stdout)["kind"] == "folder" and target.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "neither a folder nor a zip"),
        (["pictures", "--set", "mnist"], "no kind of data set 'mnist'"),
        (["pictures", "--set", "imdb"], "has no imdb.mat"),
    ],
)
def test_mistakes_are_one_sentence(
    app: typer.Typer, pictures: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(pictures.parent)
    result = CliRunner().invoke(app, ["data", "show", *arguments])
    assert result.exit_code == 2 and message in result.stderr and "Traceback" not in result.output
    assert result.stdout == ""
