"""A picture of somebody: where they appear, and a person made of it, by the commands."""

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner, Result

from pipelines.cli.main import app
from pipelines.persons.find import face_of
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from tests.clips import Clip, head
from tests.embeddings import files_that_hold
from tests.runs import made_once


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "portrait.png"
    cv2.imwrite(str(path), head(300)[:, ::-1, ::-1])  # mirrored
    return path


@pytest.fixture
def out(tmp_path_factory: pytest.TempPathFactory, face_leaves: Clip) -> Path:
    """A face that leaves and comes back: two tracks of one person."""

    def make(folder: Path) -> None:
        config = make_config(emotion_model=None, age_gender_model=None, persons="archive")
        analyze(str(face_leaves.path), str(folder), config=config, runner="direct")

    return made_once(tmp_path_factory, "archive_of_one", make)


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["persons", *map(str, words)])


def test_where_somebody_appears_and_under_which_name(out: Path, picture: Path) -> None:
    done = call(out)
    assert done.exit_code == 0 and done.output.startswith("1 person ("), done.output
    assert call("name", 0, "Eileen", out).output.endswith("person 0 is Eileen\n")
    assert json.loads(call("update", out, "--json").output)["persons"] == 1

    matches = json.loads(call("find", picture, out, "--json").output)
    assert [(match["how_sure"], match["name"], match["uri"][-8:]) for match in matches] == [
        ("sure", "Eileen", "away.mp4")
    ] * 2
    assert matches[0]["similarity"] >= matches[1]["similarity"] > 0.5
    assert "sure" in call("find", picture, out).output
    assert not files_that_hold(out, face_of(str(picture), "sface"))

    assert call("enroll", "Eileen", picture, out).output == "person 0 is Eileen\n"
    assert files_that_hold(out, face_of(str(picture), "sface")) == ["embeddings/enrolled"]
    export = call("export", out).output.splitlines()
    assert export[0].startswith("number,kind,person_id") and len(export) == 2
    assert call("undo", out).output == "decision 1 (name) is undone\n"
    assert call("forget", out).exit_code == 2
    assert call("forget", 0, out, "--yes").output.startswith("removed: 1 person, 2 tracks")
    assert not files_that_hold(out, face_of(str(picture), "sface"))
    assert call("forget", "--all", out, "--yes").exit_code == 0
    assert not (out / "embeddings").exists()


def test_an_enrolled_person_is_found_in_later_videos(tmp_path: Path, face_leaves: Clip, picture: Path) -> None:
    (tmp_path / "_work").mkdir()
    assert call("enroll", "Eileen", picture, tmp_path).output == "person 0 is Eileen\n"
    config = make_config(emotion_model=None, age_gender_model=None, persons="archive")
    analyze(str(face_leaves.path), str(tmp_path), config=config, runner="direct")
    assert call(tmp_path).output.startswith("1 person (0 new) in 2 tracks (2 new")


def test_pictures_that_cannot_be_used(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "_work").mkdir()
    cv2.imwrite(str(tmp_path / "empty.png"), head(300)[:60, :60])
    (tmp_path / "text.png").write_text("no picture")
    assert "No face is found" in call("enroll", "A", tmp_path / "empty.png", tmp_path).output
    assert "no picture that can be read" in call("enroll", "A", tmp_path / "text.png", tmp_path).output
    assert "has no embeddings" in call("find", picture, tmp_path).output
