"""`facelog export`: other programs can read the files, and the files agree with the tables."""

import configparser
import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from models.head import HeadFit
from pipelines.exports.export import export
from pipelines.exports.openface import COLUMNS, openface_angles
from pipelines.exports.subtitles import escape_ass, escape_vtt
from pipelines.exports.videos import choose_videos
from pipelines.queries.query import query
from schemas.errors import UsageError
from tests.kept_results import OTHER, TALK, make_results
from tests.made_tables import feeling, write_video
from tests.runs import made_once
from tests.tables import rows

Facelog = Callable[..., Result]
TALK_URI, COPY_URI = "/videos/talk.mp4", "/videos/old/talk.mp4"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "export", lambda folder: make_results(folder / "out")) / "out"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_mot_has_the_tables_tracks(out: Path, tmp_path: Path) -> None:
    made = export(str(out), "mot", str(tmp_path), videos=[TALK_URI])
    assert not made.left_out and len(made.files) == 2
    lines = [line.split(",") for line in only(tmp_path, "data/talk-*.txt").read_text().splitlines()]
    assert lines[0] == ["1", "0", "64.00", "36.00", "40.00", "40.00", "1.0000", "-1", "-1", "-1"]
    assert [(int(f), int(i)) for f, i, *_ in lines] == sorted((int(f), int(i)) for f, i, *_ in lines)
    # Face 0 has been seen by both segments, and twice in the first one's tail; each sample stands here once.
    tracks = rows(out, "tracks", video_id=TALK)
    for track in tracks:
        frames = [int(f) for f, i, *_ in lines if int(i) == track["track_id"]]
        assert len(frames) == track["n_samples"]
        assert (frames[0], frames[-1]) == (track["start_frame"] + 1, track["end_frame"] + 1)
    info = configparser.ConfigParser()
    info.read(only(tmp_path, "talk-*/seqinfo.ini"))
    assert dict(info["Sequence"]) | {"name": ""} == {
        **{"name": "", "imdir": "img1", "imext": ".jpg"},
        **{"framerate": "25", "seqlength": "250", "imwidth": "640", "imheight": "360"},
    }


def test_without_observations_it_says_how_to_get_them(facelog: Facelog, tmp_path: Path) -> None:
    out = make_results(tmp_path / "out", kept=False)
    for to in ("mot", "openface"):
        said = facelog("export", out, "--to", to, "--out", tmp_path / to)
        assert (said.exit_code, said.stdout) == (2, "")
        assert "--keep-observations" in said.stderr and str(out) in said.stderr
        assert not (tmp_path / to).exists()


def test_what_has_no_observations_is_left_out(facelog: Facelog, out: Path, tmp_path: Path) -> None:
    said = facelog("export", out, "--to", "openface", "--out", tmp_path)
    assert said.exit_code == 0
    assert said.stdout.splitlines()[-1] == "left out /videos/=sum.mov: its observations were not kept"
    assert len(list(tmp_path.iterdir())) == 2


def test_observations_that_are_not_whole_are_not_believed(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    (only(copy, f"observations/*/{TALK}") / "00001.parquet").unlink()
    with pytest.raises(UsageError, match="not whole: analyze the video again"):
        export(str(copy), "mot", str(tmp_path / "mot"), videos=[TALK_URI])


def test_openface_columns(out: Path, tmp_path: Path) -> None:
    export(str(out), "openface", str(tmp_path), videos=[TALK_URI])
    found = read_csv(only(tmp_path, "talk-*.csv"))
    assert tuple(found[0]) == COLUMNS
    first = {key: float(value) for key, value in found[0].items()}
    assert first | {"pose_Rx": 0, "pose_Ry": 0, "pose_Rz": 0} == {
        **{"frame": 1, "face_id": 0, "timestamp": 0, "confidence": 1, "success": 1},
        **{"pose_Rx": 0, "pose_Ry": 0, "pose_Rz": 0},
    }
    assert len(found) == sum(track["n_samples"] for track in rows(out, "tracks", video_id=TALK))


def openface_matrix(angles: np.ndarray) -> np.ndarray:
    """R = Rx Ry Rz, as OpenFace's documentation defines its angles."""
    (s1, s2, s3), (c1, c2, c3) = np.sin(angles), np.cos(angles)
    x = np.array([[1, 0, 0], [0, c1, -s1], [0, s1, c1]])
    y = np.array([[c2, 0, s2], [0, 1, 0], [-s2, 0, c2]])
    z = np.array([[c3, -s3, 0], [s3, c3, 0], [0, 0, 1]])
    return x @ y @ z


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((30, 0, 0), (0, -30, 0)),  # to the right of the picture
        ((0, 20, 0), (-20, 0, 0)),  # up
        ((0, 0, 15), (0, 0, 15)),  # clockwise
    ],
)
def test_openface_signs(pose: tuple[float, ...], expected: tuple[float, ...]) -> None:
    (angles,) = np.degrees(openface_angles(*(np.array([angle], float) for angle in pose)))
    np.testing.assert_allclose(angles, expected, atol=1e-9)


def test_openface_angles_are_the_same_head() -> None:
    random = np.random.default_rng(1)
    for yaw, pitch, roll in random.uniform(-70, 70, (200, 3)):
        (angles,) = openface_angles(np.array([yaw]), np.array([pitch]), np.array([roll]))
        fit = HeadFit(openface_matrix(angles), np.zeros(3), 1.0, np.zeros(2))
        np.testing.assert_allclose(fit.angles, (yaw, pitch, roll), atol=1e-6)


def test_unknown_poses_are_empty() -> None:
    assert np.isnan(openface_angles(np.array([np.nan]), np.array([0.0]), np.array([0.0]))).all()


def test_a_head_in_profile_has_all_angles_but_pitch() -> None:
    (angles,) = np.degrees(openface_angles(np.array([-70.0]), np.array([np.nan]), np.array([5.0])))
    assert np.isnan(angles[0]) and angles[1] == pytest.approx(70) and np.isfinite(angles[2])


def test_csv_holds_the_four_tables(out: Path, tmp_path: Path) -> None:
    export(str(out), "csv", str(tmp_path))
    for name in ("faces", "tracks", "timeline", "videos"):
        written, known = read_csv(tmp_path / f"{name}.csv"), rows(out, name)
        assert len(written) == len(known) > 0
        assert list(written[0]) == list(known[0])
    assert b"\r\n" in (tmp_path / "faces.csv").read_bytes()
    assert {row["uri"] for row in read_csv(tmp_path / "videos.csv")} >= {"/videos/broken.mp4", "/videos/=sum.mov"}
    face = read_csv(tmp_path / "faces.csv")[0]
    assert (face["emotion"], face["confidence"], face["emotion_happy"]) == ("happy", "1.0", "0.7")
    assert read_csv(tmp_path / "tracks.csv")[0]["person_id"] == ""


def test_csv_of_one_video(out: Path, tmp_path: Path) -> None:
    export(str(out), "csv", str(tmp_path), videos=["=sum.mov"])
    assert {row["video_id"] for row in read_csv(tmp_path / "timeline.csv")} == {OTHER}
    assert [row["uri"] for row in read_csv(tmp_path / "videos.csv")] == ["/videos/=sum.mov"]
    assert read_csv(tmp_path / "faces.csv") == []


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    from schemas import storage
    from tests.examples import example_row
    from tests.kept_results import _run
    from transforms.ledger import write_row

    out = make_results(tmp_path / "out")
    write_row(example_row("s3://b/x", status="failed", video_id=None, error_message='=cmd|" /C calc"!A0'), _run(out))
    export(str(out), "csv", storage.join(str(tmp_path), "csv"))
    (row,) = [row for row in read_csv(tmp_path / "csv/videos.csv") if row["uri"] == "s3://b/x"]
    assert row["error_message"] == '\'=cmd|" /C calc"!A0'


def test_ass_stands_at_the_face_by_the_players_clock(out: Path, tmp_path: Path) -> None:
    import pysubs2

    export(str(out), "subtitles", str(tmp_path), videos=[TALK_URI])
    subtitles = pysubs2.load(only(tmp_path, "talk-*.facelog.ass"))
    assert (subtitles.info["PlayResX"], subtitles.info["PlayResY"]) == ("640", "360")
    first, second = subtitles
    # Face 0 says and shows the same for 8 s, so it is one cue; the file's clock is half a second ahead.
    assert (first.start, first.end) == (500, 8500) and (second.start, second.end) == (6000, 9500)
    assert first.plaintext == "#0 happy · 30 (24–36) · female" and second.plaintext.startswith("#1 happy · 50 (")
    assert r"\an1\pos(64,34)" in first.text and r"\an1\pos(320,178)" in second.text


def test_vtt(out: Path, tmp_path: Path) -> None:
    export(str(out), "subtitles", str(tmp_path), videos=[TALK_URI], subtitle_format="vtt")
    text = only(tmp_path, "talk-*.facelog.vtt").read_text("utf-8")
    assert text.startswith(
        "WEBVTT\n\n00:00:00.500 --> 00:00:08.500 line:21.1% position:10.0% align:start\n"
        "#0 happy · 30 (24–36) · female\n\n00:00:06.000 --> 00:00:09.500 line:61.1%"
    )


def test_subtitles_escape() -> None:
    assert escape_ass("a{\\b}\nc") == "a\\{\\\u2060b\\} c"
    assert escape_vtt("a<b> & -->\nc") == "a&lt;b&gt; &amp; --&gt; c"


def test_players_open_subtitles(out: Path, tmp_path: Path) -> None:
    import av

    for form, codec in (("ass", "ass"), ("vtt", "webvtt")):
        export(str(out), "subtitles", str(tmp_path), videos=[TALK_URI], subtitle_format=form)
        with av.open(str(only(tmp_path, f"talk-*.{form}"))) as container:
            stream = container.streams.subtitles[0]
            assert stream.codec_context.name in (codec, "ssa")
            assert sum(1 for packet in container.demux(stream) if packet.size) == 2


def test_fiftyone(out: Path, tmp_path: Path) -> None:
    made = export(str(out), "fiftyone", str(tmp_path / "set.json"))
    assert made.files == [str(tmp_path / "set.json")]
    found = json.loads((tmp_path / "set.json").read_text("utf-8"))
    assert (found["name"], found["media_type"]) == ("set", "video")
    samples = {sample["filepath"]: sample for sample in found["samples"]}
    assert set(samples) == {TALK_URI, COPY_URI, "/videos/=sum.mov"}
    talk = samples[TALK_URI]
    assert set(talk) - {"_media_type", "frames"} <= set(found["sample_fields"])
    assert talk["metadata"]["total_frame_count"] == 250
    faces = rows(out, "faces", video_id=TALK)
    assert sorted(map(int, talk["frames"])) == sorted({face["frame"] + 1 for face in faces})
    (detection,) = talk["frames"]["1"]["faces"]["detections"]
    assert detection["bounding_box"] == pytest.approx([64 / 640, 36 / 360, 40 / 640, 40 / 360])
    assert (detection["index"], detection["label"]) == (0, "happy") and detection["confidence"] == pytest.approx(0.7)
    assert [track["support"] for track in talk["tracks"]["detections"]] == [
        [track["start_frame"] + 1, track["end_frame"] + 1] for track in rows(out, "tracks", video_id=TALK)
    ]
    assert export(str(out), "fiftyone", str(tmp_path / "x")).files == [str(tmp_path / "x" / "facelog.json")]


def test_names_are_told_apart(out: Path) -> None:
    names = {video.row["uri"]: video.name for video in choose_videos(str(out))}
    assert names["/videos/=sum.mov"] == "=sum"
    assert re.fullmatch("talk-[0-9a-f]{8}", names[TALK_URI]) and names[TALK_URI] != names[COPY_URI]
    (alone,) = choose_videos(str(out), [TALK_URI])
    assert alone.name == names[TALK_URI]


@pytest.mark.parametrize(
    ("wanted", "uris"),
    [
        ([TALK_URI], [TALK_URI]),
        (["talk.mp4"], [COPY_URI, TALK_URI]),
        ([TALK], [COPY_URI, TALK_URI]),
        ([OTHER[:6]], ["/videos/=sum.mov"]),
        (["=sum.mov", TALK_URI, TALK_URI], ["/videos/=sum.mov", TALK_URI]),
    ],
)
def test_choosing_videos(out: Path, wanted: list[str], uris: list[str]) -> None:
    assert [video.row["uri"] for video in choose_videos(str(out), wanted)] == uris


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--to", "csv", "--video", "tolk.mp4"], r"no file of this uri, name or id. Did you mean talk.mp4"),
        (["--to", "csv", "--video", "zzz"], "`facelog query DIR"),
        (["--to", "csv", "--video", "broken.mp4"], "its status is corrupt: /videos/broken.mp4 is empty."),
        (["--to", "csv", "--format", "vtt"], "--format is for --to subtitles alone"),
    ],
)
def test_wrong_calls(facelog: Facelog, out: Path, tmp_path: Path, options: list[str], sentence: str) -> None:
    said = facelog("export", out, *options, "--out", tmp_path / "x")
    assert said.exit_code == 2 and re.search(sentence, said.stderr), said.stderr
    assert said.stderr.startswith("facelog: ") and not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_written(facelog: Facelog, out: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = facelog("export", out, "--to", "csv", "--out", tmp_path / "file")
    assert said.exit_code == 1 and said.stderr.startswith(f"facelog: {tmp_path / 'file'}") and len(said.stderr) < 300


def test_nothing_half_written(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="no space left"):
        export(str(out), "subtitles", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_to_and_from_an_object_store(out: Path, s3_bucket: str) -> None:
    from schemas import storage

    for info in storage.list_files(str(out)):
        storage.write_bytes(f"{s3_bucket}/run{info.uri.removeprefix(str(out))}", storage.read_bytes(info.uri))
    for to in ("mot", "csv", "subtitles"):
        made = export(f"{s3_bucket}/run", to, f"{s3_bucket}/{to}", videos=[TALK_URI])
        assert made.files and all(storage.read_bytes(name) for name in made.files)
    assert query(f"{s3_bucket}/run", "SELECT count(*) AS n FROM faces").to_pydict() == {"n": [12]}


@pytest.mark.parametrize("to", ["subtitles", "csv", "fiftyone"])
def test_a_damaged_video_does_not_end_the_export_of_the_others(to: str, facelog: Facelog, tmp_path: Path) -> None:
    for name in ("a", "bad", "c"):
        write_video(tmp_path / "out", f"/videos/{name}.mp4", [feeling(0, 0.0, ["happy"] * 2)])
    bad = rows(tmp_path / "out", "videos", uri="/videos/bad.mp4")[0]["video_id"]
    (damaged,) = (tmp_path / "out" / "faces").rglob(f"{bad}.parquet")
    damaged.write_bytes(b"PAR1 half")
    said = facelog("export", tmp_path / "out", "--to", to, "--out", tmp_path / "to")
    assert said.exit_code == 3
    assert "failed /videos/bad.mp4:" in said.stdout and "is damaged" in said.stdout
    written = "".join(path.read_text() for path in (tmp_path / "to").rglob("*") if path.is_file())
    if to == "csv":
        faces = read_csv(tmp_path / "to" / "faces.csv")
        assert len(faces) == 4 and bad not in {face["video_id"] for face in faces}
    elif to == "fiftyone":
        assert [sample["filepath"][-5:] for sample in json.loads(written)["samples"]] == ["a.mp4", "c.mp4"]
    else:
        assert {path.name for path in (tmp_path / "to").iterdir()} == {"a.facelog.ass", "c.facelog.ass"}


def test_a_name_that_is_too_long_is_shortened(facelog: Facelog, tmp_path: Path) -> None:
    long = "é" * 125 + "b.mp4"
    assert len(long.encode()) == 255
    for name in (long, long.replace("b", "c"), "a.mp4"):
        write_video(tmp_path / "out", f"/videos/{name}", [feeling(0, 0.0, ["happy"] * 2)])
    assert facelog("export", tmp_path / "out", "--to", "subtitles", "--out", tmp_path / "to").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "to").iterdir())
    assert len(names) == 3 and names[0] == "a.facelog.ass" and names[1].startswith("ééé")


def test_where_nothing_can_be_written_the_export_fails(out: Path, facelog: Facelog) -> None:
    said = facelog("export", out, "--to", "subtitles", "--out", "/proc/none/at/all")
    assert said.exit_code == 1 and said.stderr.startswith("facelog: /proc/none")
