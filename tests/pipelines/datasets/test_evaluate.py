"""`facelog evaluate`: pictures through the pipeline's own crop, and what the command prints and writes."""

import csv
import dataclasses
import importlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from skimage import data
from typer.testing import CliRunner, Result

from models.bundle import Bundle
from models.detectors import hog
from models.detectors.choose import make_detector
from models.detectors.hog import detect_hog
from models.geometry import AGE_GENDER, cut_chip
from models.landmarks import predict_landmarks
from pipelines.cli.evaluate import evaluate as command
from schemas.config import Detection
from schemas.errors import UsageError
from schemas.faces import Boxes
from tests.bundles import age_gender_bundle, colour_tells
from training.datasets import LabelledPicture

# `pipelines.datasets.evaluate` is the function.
module = importlib.import_module("pipelines.datasets.evaluate")

REAL = Path(__file__).parents[4] / "shared" / "data"
PORTRAIT = np.ascontiguousarray(data.astronaut()[:300, 60:380])
FACE = np.ascontiguousarray(data.astronaut()[70:175, 165:270])

Evaluate = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Tells age and gender by the mean colour, whatever model is asked for."""
    bundle = age_gender_bundle(tmp_path / "by-colour", colour_tells)
    monkeypatch.setattr(module, "load_bundle", lambda name: bundle)
    return bundle


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A portrait, a crop of its face, and a picture without a face, in one split; and a flat one in another."""
    root = tmp_path / "people"
    pictures = {"test/portrait.png": PORTRAIT, "test/crop.png": FACE}
    pictures |= {"test/none.png": np.full((100, 100, 3), (30, 20, 90), np.uint8), "train/a.png": FACE}
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), picture[:, :, ::-1])
    rows = ["file,age,gender", "test/portrait.png,30,female", "test/crop.png,25-35,female"]
    rows += ["test/none.png,31,male", "train/a.png,40,female"]
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def run(bundle: Bundle) -> Evaluate:
    """The command in this process."""
    app = typer.Typer()
    app.command()(command)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_picture_with_room_is_cut_as_the_pipeline_does(bundle: Bundle) -> None:
    (crop, ready), *_ = module.pipeline_crops([LabelledPicture("p", PORTRAIT)], bundle)
    grey = cv2.cvtColor(PORTRAIT, cv2.COLOR_RGB2GRAY)
    boxes = detect_hog(grey, min_face=make_detector(Detection()).min_face, threshold=0.0).xywh[:1]
    expected = cut_chip(PORTRAIT, AGE_GENDER.transforms(predict_landmarks(grey, boxes), boxes, (320, 300))[0], 64)
    np.testing.assert_array_equal(crop.chip, expected)
    assert ready.chip is not None and np.abs(ready.chip.astype(int) - expected).mean() > 10  # all of it as a face


def test_a_small_crop_gives_nearly_its_ready_chip(bundle: Bundle) -> None:
    (crop, ready), *_ = module.pipeline_crops([LabelledPicture("p", FACE)], bundle)
    assert crop.chip is not None and ready.chip is not None
    assert np.abs(crop.chip.astype(int) - ready.chip).mean() < 12


def test_each_picture_keeps_its_own_face(bundle: Bundle) -> None:
    empty, dark = np.full((100, 100, 3), 90, np.uint8), FACE // 2
    samples = [LabelledPicture(str(i), pixels) for i, pixels in enumerate((FACE, empty, dark, FACE[:, ::-1]))]
    crops = [crop for crop, _ in module.pipeline_crops(samples, bundle)]
    assert [crop.sample.name for crop in crops] == ["0", "1", "2", "3"]
    assert [crop.missing for crop in crops] == ["", module.NO_FACE, "", ""]
    chips = [crop.chip.astype(int) for crop in crops if crop.chip is not None]
    assert np.abs(chips[0] - 2 * chips[1]).mean() < 12 and np.abs(chips[0] - chips[2][:, ::-1]).mean() < 12


def test_the_largest_face_is_the_one_that_is_labelled(bundle: Bundle) -> None:
    both = np.full((300, 420, 3), 120, np.uint8)
    both[20:140, 10:130], both[20:280, 150:410] = cv2.resize(FACE, (120, 120)), cv2.resize(FACE // 2, (260, 260))
    (crop, _), *_ = module.pipeline_crops([LabelledPicture("p", both)], bundle)
    assert crop.chip is not None and crop.chip.max() < 140


def test_only_small_pictures_get_room() -> None:
    assert module.with_room(PORTRAIT) is PORTRAIT
    assert module.with_room(np.zeros((48, 48, 3), np.uint8)).shape == (192 + 2 * 19, 192 + 2 * 19, 3)
    assert module.with_room(np.zeros((120, 110, 3), np.uint8)).shape == (240 + 2 * 22, 220 + 2 * 22, 3)


def test_end_to_end_stands_beside_ready_crops_of_the_same_pictures(bundle: Bundle, people: Path) -> None:
    report = module.evaluate("any", people, split="test", end_to_end=True)
    document = json.loads(report.to_json())
    assert (document["n"], document["found"], document["not_found"]) == (2, 2, 1)
    assert document["ready"]["n"] == 2 and document["end_to_end"]
    assert document["age_mae"] != document["ready"]["age_mae"]
    assert document["left_out"] == {"no face found": 1}
    plain = json.loads(module.evaluate("any", people, split="test").to_json())
    assert plain["n"] == 3 and not plain["end_to_end"] and "ready" not in plain


def test_another_detector_finds_other_faces(bundle: Bundle, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that finds none."""
    monkeypatch.setattr(hog, "DETECTOR", dataclasses.replace(hog.DETECTOR, find=lambda *_, **__: Boxes.none()))
    with pytest.raises(UsageError, match="no face found"):
        module.evaluate("any", people, split="test", end_to_end=True, detector="hog")
    with pytest.raises(UsageError, match="no detector called 'eyes'"):
        module.evaluate("any", people, end_to_end=True, detector="eyes")


def test_a_cards_figures_are_those_of_the_pictures_in_which_a_face_was_found(bundle: Bundle, people: Path) -> None:
    report = module.evaluate("any", people, split="test", end_to_end=True)
    figures = module.end_to_end(bundle, module.read_dataset(people).samples(split="test"))
    assert figures["found"] == pytest.approx(2 / 3)
    assert report.ready is not None
    assert (figures["age_mae"], figures["ready_age_mae"]) == (report.figures["age_mae"], report.ready["age_mae"])


def test_predictions_have_a_row_for_each_picture(bundle: Bundle, people: Path, tmp_path: Path) -> None:
    module.evaluate("any", people, split="test", end_to_end=True, predictions=tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows["test/none.png"]) == ["file", "label", "age", "age_low", "age_high", "gender_female"]
    assert {name: row["label"] for name, row in rows.items()} == {
        "test/portrait.png": "30 female",
        "test/crop.png": "25-35 female",
        "test/none.png": "31 male",
    }
    assert rows["test/none.png"]["age"] == ""
    age, low, high = (float(rows["test/crop.png"][name]) for name in ("age", "age_low", "age_high"))
    assert age - low == pytest.approx(6.408, abs=1e-3) and high - age == pytest.approx(6.408, abs=1e-3)
    assert not (tmp_path / ".p.csv").exists()


def test_a_draw_is_the_same_again_and_in_order() -> None:
    samples = [LabelledPicture(str(i), FACE) for i in range(50)]
    drawn = [int(sample.name) for sample in module.draw(iter(samples), 8, seed=0)]
    assert drawn == sorted(drawn) and len(set(drawn)) == 8
    assert drawn == [int(sample.name) for sample in module.draw(samples, 8, seed=0)]
    assert drawn != [int(sample.name) for sample in module.draw(samples, 8, seed=1)]
    assert len(module.draw(samples, 80, seed=0)) == 50
    often = np.zeros(50)
    for seed in range(400):
        often[[int(sample.name) for sample in module.draw(samples, 10, seed)]] += 1
    assert all(40 < count < 120 for count in often)


def test_json_is_alone_on_standard_output(run: Evaluate, people: Path, tmp_path: Path) -> None:
    result = run("any", "--data", people, "--split", "TEST", "--json", "--out", tmp_path / "figures.json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document == json.loads((tmp_path / "figures.json").read_text())
    assert (document["model"], document["kind"], document["split"], document["n"]) == ("by-colour", "folder", "TEST", 3)


def test_people_get_tables(run: Evaluate, people: Path) -> None:
    result = run("any", "--data", people, "--end-to-end")
    assert result.exit_code == 0, result.output
    for text in ("end to end", "ready crops", "gender accuracy", "age MAE", "Left out: 1 no face found", "female"):
        assert text in result.stdout


def test_mistakes_are_one_sentence(run: Evaluate, people: Path, tmp_path: Path) -> None:
    wrong = [
        (("--data", tmp_path / "nowhere"), "nowhere"),
        (("--data", people, "--split", "mine"), "mine"),
        (("--data", people, "--set", "nonsense"), "nonsense"),
        (("--data", people, "--predictions", tmp_path / "no" / "p.csv"), "p.csv cannot be written"),
        (("--data", people, "--out", tmp_path / "no" / "figures.json"), "figures.json"),
    ]
    for options, text in wrong:
        result = run("any", *options)
        assert result.exit_code == 2
        assert result.stdout == "" and text in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_a_failed_evaluation_leaves_no_predictions(bundle: Bundle, people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        module.evaluate("any", people, split="mine", predictions=tmp_path / "p.csv")
    assert not list(tmp_path.glob("*p.csv"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "file", "figure", "most"),
    [("emotion", "fer2013.zip", "accuracy", 0.07), ("age-gender", "utkface.zip", "age_mae", 0.7)],
)
def test_the_shipped_models_read_the_pipelines_crops_as_well_as_ready_ones(
    model: str, file: str, figure: str, most: float
) -> None:
    if not (REAL / file).exists():
        pytest.skip("the data sets ../shared/data are not there")
    report = module.evaluate(model, REAL / file, end_to_end=True, limit=150)
    assert report.ready is not None and report.found > 0.6 * (report.found + report.not_found)
    assert abs(report.figures[figure] - report.ready[figure]) < most
