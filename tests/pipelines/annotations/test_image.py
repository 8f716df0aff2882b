"""`facelog image`: the same figures as `analyze` writes, for every kind of picture, and annotated copies."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from pipelines import analyze
from pipelines.annotations.image import PictureFaces, image
from pipelines.colours import EMOTION_COLOURS
from schemas.config import Config
from schemas.errors import UsageError
from tests.clips import portrait_clip, scene
from tests.odd_clips import still
from tests.tables import rows, videos

Facelog = Callable[..., Result]
BARE = ("--emotion-model", "none", "--age-gender-model", "none")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of many kinds, a damaged one and a video."""
    folder = tmp_path_factory.mktemp("pictures")
    still(folder / "turned.jpg", orientation=6, size=(640, 480))
    still(folder / "two.png", faces=2, size=(640, 320))
    picture, _ = scene(0.0, size=(320, 240))
    Image.fromarray(picture).convert("L").save(folder / "grey.png")
    Image.fromarray(np.dstack([picture, np.full((240, 320), 128, np.uint8)])).save(folder / "rgba.png")
    cv2.imwrite(str(folder / "deep.png"), picture[:, :, ::-1].astype(np.uint16) * 257)
    Image.fromarray(picture).save(folder / "scan.tif")
    Image.fromarray(picture).quantize(64).save(folder / "one.gif")
    Image.new("RGB", (320, 240), (90, 90, 90)).save(folder / "nobody.jpg")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    portrait_clip(folder / "film.mp4", seconds=0.3)
    return folder


@pytest.fixture(scope="module")
def found(pictures: Path) -> dict[str, PictureFaces]:
    """What is found in them, with facelog's own models."""
    return {Path(picture.uri).name: picture for picture in image(str(pictures))}


def test_the_figures_are_those_of_the_tables(pictures: Path, found: dict[str, PictureFaces], tmp_path: Path) -> None:
    analyze([str(pictures)], str(tmp_path), runner="direct")
    ledger = videos(tmp_path)
    assert sum(len(picture.faces) for picture in found.values()) == 8
    for name, picture in found.items():
        assert picture.status == ledger[name]["status"]
        if not picture.is_bad:
            assert picture.faces == rows(tmp_path, "faces", video_id=ledger[name]["video_id"])
            assert (picture.width, picture.height) == (ledger[name]["width"], ledger[name]["height"])
            assert all(face["emotion"] == "happy" and face["age"] > 0 for face in picture.faces)


def test_of_a_folder_pictures_count(found: dict[str, PictureFaces]) -> None:
    names = {
        "turned.jpg",
        "two.png",
        "grey.png",
        "rgba.png",
        "deep.png",
        "scan.tif",
        "one.gif",
        "nobody.jpg",
        "bad.jpg",
    }
    assert set(found) == names
    assert {name for name, picture in found.items() if picture.is_bad} == {"bad.jpg"}
    assert "does not open" in (found["bad.jpg"].message or "")


def test_many_faces_from_left_to_right(found: dict[str, PictureFaces]) -> None:
    faces = found["two.png"].faces
    assert [face["track_id"] for face in faces] == [0, 1]
    assert faces[0]["x"] + 200 < faces[1]["x"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, bare: Config, tmp_path: Path) -> None:
    clip = still(tmp_path / "turned.jpg", orientation=orientation)
    (picture,) = image(str(clip.path), config=bare, out=str(tmp_path / "out.png"))
    box = picture.faces[0]
    assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx(clip.boxes[0, 0], abs=15)
    with Image.open(tmp_path / "out.png") as copy:
        assert copy.size == (320, 240) and copy.getexif().get(0x0112) is None
        upright, _ = scene(0.0, size=(320, 240))
        assert np.abs(np.asarray(copy)[200:].astype(int) - upright[200:]).mean() < 4


def test_copies(pictures: Path, bare: Config, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    found = image([str(pictures / "*")], config=bare, out=str(tmp_path / "out"))
    copies = {Path(picture.copy).name for picture in found if picture.copy}
    assert (
        copies
        == {path.name for path in (tmp_path / "out").iterdir()}
        == {
            *("turned.faces.jpg", "two.faces.png", "grey.faces.png", "rgba.faces.png", "deep.faces.png"),
            *("scan.tif.faces.png", "one.gif.faces.png", "nobody.faces.jpg"),
        }
    )
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before
    for name in ("grey.faces.png", "rgba.faces.png", "deep.faces.png"):
        with Image.open(tmp_path / "out" / name) as copy:
            assert copy.mode == ("RGBA" if name.startswith("rgba") else "RGB")
            colours = np.asarray(copy.convert("RGB")).reshape(-1, 3)
        assert (np.abs(colours.astype(int) - (228, 230, 233)).max(axis=1) < 3).sum() > 100  # nobody named an emotion


def test_labels_have_the_emotions_colour(pictures: Path, tmp_path: Path) -> None:
    image(str(pictures / "two.png"), out=str(tmp_path / "copy.png"))
    with Image.open(tmp_path / "copy.png") as copy:
        pixels = np.asarray(copy)
    assert (pixels == EMOTION_COLOURS["happy"]).all(axis=-1).sum() > 500


def test_blur(pictures: Path, bare: Config, tmp_path: Path) -> None:
    source = pictures / "two.png"
    (picture,) = image(str(source), config=bare, out=str(tmp_path / "copy.png"), blur=True)
    change = np.abs(np.asarray(Image.open(source)).astype(int) - np.asarray(Image.open(tmp_path / "copy.png"))).max(2)
    for face in picture.faces:
        x, y, w, h = (round(face[name]) for name in ("x", "y", "width", "height"))
        assert change[y : y + h, x : x + w].mean() > 10
    assert not change[:, :25].any() and not change[300:].any()


def test_copies_made_before_are_no_pictures_of_a_folder(bare: Config, tmp_path: Path) -> None:
    still(tmp_path / "one.jpg")
    for _ in range(2):
        (picture,) = image(str(tmp_path), config=bare, out=str(tmp_path), overwrite=True)
        assert picture.copy == str(tmp_path / "one.faces.jpg")
    assert len(image(str(tmp_path / "one.faces.jpg"), config=bare)) == 1  # named outright


def test_nothing_is_replaced(bare: Config, tmp_path: Path) -> None:
    one = still(tmp_path / "one.jpg").path
    (tmp_path / "other").mkdir()
    still(tmp_path / "other" / "one.jpg")
    taken = tmp_path / "taken.png"
    taken.write_text("precious")
    for inputs, out, text in (
        ([one], taken, "is there already"),
        ([one], one, "one of the pictures"),
        ([tmp_path], tmp_path / "x.png", "give a folder"),
        ([tmp_path], tmp_path / "copies", "one folder at a time"),
    ):
        with pytest.raises(UsageError, match=text):
            image([str(i) for i in inputs], config=bare, out=str(out))
    assert taken.read_text() == "precious"
    assert image(str(one), config=bare, out=str(taken), overwrite=True)[0].copy == str(taken)


def test_what_is_no_picture(bare: Config, tmp_path: Path) -> None:
    film = portrait_clip(tmp_path / "film.mp4", seconds=0.3).path
    (picture,) = image(str(film), config=bare)
    assert picture.is_bad and "use `facelog analyze`" in (picture.message or "")
    for inputs, text in ((tmp_path, "no picture in"), (tmp_path / "none.jpg", "no such file")):
        with pytest.raises(UsageError, match=text):
            image(str(inputs), config=bare)


def test_a_copy_that_cannot_be_written(bare: Config, tmp_path: Path) -> None:
    one = still(tmp_path / "one.jpg").path
    (tmp_path / "file").write_text("")
    (picture,) = image(str(one), config=bare, out=str(tmp_path / "file" / "under"))
    assert picture.is_bad and picture.copy is None and str(tmp_path / "file") in (picture.message or "")


def test_at_the_terminal(pictures: Path, facelog: Facelog, tmp_path: Path) -> None:
    result = facelog("image", pictures / "two.png", pictures / "nobody.jpg", pictures / "bad.jpg", *BARE)
    assert result.exit_code == 3
    assert "two.png: 2 faces" in result.stdout and "nobody.jpg: 0 faces" in result.stdout
    assert "corrupt: " in result.stderr and "bad.jpg does not open" in result.stderr
    assert result.stdout.count("unknown") == 6  # emotion, age and gender of two faces
    result = facelog("image", pictures / "two.png", *BARE, "--json", "--out", tmp_path / "o.jpg")
    (document,) = json.loads(result.stdout)
    assert result.exit_code == 0 and len(document["faces"]) == 2 and document["copy"] == str(tmp_path / "o.jpg")


def test_small_faces_on_request(tmp_path: Path, facelog: Facelog) -> None:
    small = still(tmp_path / "small.png", size=(40, 36)).path
    counts = [facelog("image", small, *BARE, *more).stdout.splitlines()[0] for more in ((), ("--min-face", 20))]
    assert [line.rsplit(": ")[1] for line in counts] == ["0 faces", "1 face"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--blur",), "--out"),
        (("--device", "tpu"), "is not one of"),
        (("--emotion-model", "nope"), "no model bundle"),
    ],
)
def test_calls_that_are_wrong(options: tuple[str, ...], text: str, pictures: Path, facelog: Facelog) -> None:
    result = facelog("image", pictures / "two.png", *options)
    assert result.exit_code in (1, 2) and text in result.stderr and "Traceback" not in result.stderr
