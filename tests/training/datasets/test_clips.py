"""The sets of video clips; tiny clips in their layouts are made on the spot."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from schemas.tables import EMOTIONS
from training.datasets import DataError, LabelledPicture, detect_kind, read_dataset
from training.datasets.clips import PLACES, ClipFrame
from training.judging.overview import examine

Table = Callable[[str, Sequence[str]], Path]
Draw = Callable[..., None]


def film(path: Path, frames: int = 21) -> None:
    """Grey frames, each ten brighter than the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 + 10 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read(path: Path, kind: str) -> tuple[list[LabelledPicture], Counter[str]]:
    assert detect_kind(path) == kind
    dropped: Counter[str] = Counter()
    return list(read_dataset(path).samples(dropped)), dropped


@pytest.mark.parametrize("name", ["a.mp4", "a.flv", "a.avi"])
def test_frames_around_the_middle(tmp_path: Path, name: str) -> None:
    film(tmp_path / name)
    shades = [ClipFrame(tmp_path / name, place).read().mean() for place in PLACES]
    np.testing.assert_allclose(shades, [80, 110, 140], atol=4)
    assert ClipFrame(tmp_path / name, 0.5).read().shape == (32, 32, 3)


def test_a_clip_that_does_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.flv").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    for name in ("a.flv", "none.flv"):
        with pytest.raises(DataError, match=rf"{name}: the clip cannot be read"):
            ClipFrame(tmp_path / name, 0.5).read()


def test_ravdess(tmp_path: Path, zipped: Callable[[Path], Path]) -> None:
    folder = tmp_path / "ravdess"
    names = ("01-01-05-02-01-01-12", "02-01-05-02-01-01-12", "01-01-02-01-01-01-11", "01-02-08-01-01-01-11")
    for name in names:
        film(folder / f"Actor_{name[-2:]}" / f"{name}.mp4")
    samples, dropped = read(folder, "ravdess")
    assert [(s.name, s.emotion, s.group, s.female) for s in samples[::3]] == [
        ("Actor_11/01-02-08-01-01-01-11.mp4@35%", "surprise", "ravdess/11", False),
        ("Actor_12/02-01-05-02-01-01-12.mp4@35%", "angry", "ravdess/12", True),
    ]
    assert len(samples) == 6 and dropped == {
        "calm is none of the seven emotions": 3,
        "the same recording is there without sound": 3,
    }
    inside, _ = read(zipped(folder), "ravdess")
    assert [sample.name for sample in inside] == [sample.name for sample in samples]
    np.testing.assert_array_equal(inside[1].picture(), samples[1].picture())


def test_clips_are_shown_as_pictures_are(tmp_path: Path) -> None:
    for actor in ("11", "12"):
        film(tmp_path / f"01-01-05-02-01-01-{actor}.mp4")
    overview = examine(read_dataset(tmp_path), console=Console(quiet=True))
    assert overview.emotions == {"angry": {"all": 6}} and (overview.opened, overview.unreadable) == (6, 0)


HEADER = '"","A","D","F","H","N","S","fileName","numResponses"'


def test_crema_d(tmp_path: Path, table: Table) -> None:
    for name in ("1001_DFA_ANG_XX", "1001_IEO_HAP_LO", "1040_ITH_SAD_X"):
        film(tmp_path / "VideoFlash" / f"{name}.flv", 3)
    samples, _ = read(tmp_path, "crema_d")
    assert [(s.emotion, s.group, s.votes) for s in samples[::3]] == [
        ("angry", "crema_d/1001", None),
        ("happy", "crema_d/1001", None),
        ("sad", "crema_d/1040", None),
    ]
    (tmp_path / "processedResults").mkdir()
    summary = ['"","FileName","VoiceVote","FaceVote"', '1,"1001_DFA_ANG_XX","A","A:D"', '2,"1001_IEO_HAP_LO","N",NA']
    table("processedResults/summaryTable.csv", summary)
    votes = [sample.votes for sample in read(tmp_path, "crema_d")[0][::3]]
    assert votes[0] is not None and votes[0].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0] and votes[1] is None
    rows = [
        '"100001",9,0,0,0,1,0,"1001_IEO_HAP_LO",10',
        '"200001",0,1,0,6,3,0,"1001_IEO_HAP_LO",10',
        '"300001",0,0,0,9,1,0,"1001_IEO_HAP_LO",10',
    ]
    table("processedResults/tabulatedVotes.csv", [HEADER, *rows])
    votes = [sample.votes for sample in read(tmp_path, "crema_d")[0][::3]]
    assert votes[0] is None and votes[1] is not None
    shares = dict(zip(EMOTIONS, votes[1].round(2).tolist(), strict=True))
    assert {name: share for name, share in shares.items() if share} == pytest.approx(
        {"disgust": 0.1, "happy": 0.6, "neutral": 0.3}
    )


def test_afew(tmp_path: Path, draw: Draw) -> None:
    film(tmp_path / "Train_AFEW" / "Angry" / "000437240.avi", 5)
    film(tmp_path / "Val_AFEW" / "Surprise" / "011603980.avi", 5)
    for number in range(9):
        draw(f"Val_AFEW/AlignedFaces_LBPTOP_Points_Val/Faces/011603980/{number:03d}.jpg", 10 * number)
    samples, _ = read(tmp_path, "afew")
    assert [(s.emotion, s.splits, s.group) for s in samples] == [
        *[("angry", ("train",), "afew/000437240")] * 3,
        *[("surprise", ("val",), "afew/011603980")] * 3,
    ]
    assert [sample.name.rsplit("/", 1)[-1] for sample in samples[3:]] == ["003.jpg", "004.jpg", "005.jpg"]
    assert samples[0].picture().shape == (32, 32, 3)
