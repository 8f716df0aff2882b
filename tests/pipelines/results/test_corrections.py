"""The table `annotations`: what is written, asked, scored and forgotten."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.keeping.forget import forget
from pipelines.queries.query import query
from pipelines.results.corrections import annotate_face, read_annotations, remove_annotation, score_annotations
from pipelines.results.tables import read_video_table
from schemas.errors import UsageError
from tests.made_tables import feeling, write_video
from transforms.ledger import read_ledger

_URI = "/videos/talk.mp4"
_EMOTION = {"kind": "emotion", "scope": "second", "author": "Ada"}


@pytest.fixture
def out(tmp_path: Path) -> str:
    write_video(tmp_path, _URI, [feeling(0, 0.0, ["happy"] * 4), feeling(1, 0.0, ["sad"] * 4, x=300)], seconds=5)
    return str(tmp_path)


def say(out: str, track: int, second: int, **said: Any) -> dict[str, Any]:
    row = read_ledger(out)[_URI]
    faces = read_video_table(out, "faces", row["video_id"]).to_pylist()
    (face,) = [face for face in faces if (face["track_id"], face["second"]) == (track, second)]
    return annotate_face(out, row, face, _EMOTION | said)


def test_what_is_said_is_a_table_that_queries_join(out: str) -> None:
    assert query(out, "SELECT count(*) AS n FROM annotations").to_pylist() == [{"n": 0}]
    made = say(out, 0, 2, emotion="neutral", comment="  a grin ")
    say(out, 1, 0, kind="not_a_face", scope="track", author="Bob")
    joined = "FROM annotations JOIN faces USING (video_id, track_id, second) ORDER BY author"
    told = query(out, f"SELECT author, kind, annotations.emotion AS given, faces.emotion AS told, comment {joined}")
    assert told.to_pylist() == [
        {"author": "Ada", "kind": "emotion", "given": "neutral", "told": "happy", "comment": "a grin"},
        {"author": "Bob", "kind": "not_a_face", "given": None, "told": "sad", "comment": None},
    ]
    assert [each["author"] for each in read_annotations(out, made["video_id"])] == ["Bob", "Ada"]
    remove_annotation(out, made["video_id"], made["annotation_id"])
    assert [each["author"] for each in read_annotations(out, made["video_id"])] == ["Bob"]
    for gone in (made["annotation_id"], "../../x"):
        with pytest.raises(UsageError, match="not there"):
            remove_annotation(out, made["video_id"], gone)


@pytest.mark.parametrize(
    "said",
    [
        *({}, {"emotion": "joy"}, {"kind": "not_a_face", "emotion": "sad"}, {"emotion": "sad", "author": " "}),
        *({"emotion": "sad", "scope": "video"}, {"kind": "wrong"}, {"kind": "comment"}),
    ],
)
def test_what_means_nothing_is_refused(out: str, said: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        say(out, 0, 0, **said)
    assert not (Path(out) / "annotations").exists()


def test_tables_are_scored_by_the_newest_judgement_of_each_face(out: str) -> None:
    with pytest.raises(UsageError, match="no judgements"):
        score_annotations(out)
    say(out, 0, 0, emotion="sad")
    say(out, 0, 0, emotion="happy")  # on second thoughts
    say(out, 0, 1, emotion="neutral")
    say(out, 1, 1, emotion="sad", scope="track")
    say(out, 1, 3, kind="not_a_face")
    say(out, 1, 2, kind="comment", comment="who is this?")
    score = score_annotations(out)
    assert (score.judged, score.found, score.right, score.not_faces, score.still_there) == (3, 3, 2, 1, 1)
    assert score.confusion == {("happy", "happy"): 1, ("neutral", "happy"): 1, ("sad", "sad"): 1}
    assert score.as_json()["recall"] == {"happy": 1, "sad": 1, "neutral": 0}


def test_a_face_is_found_again_after_another_analysis(out: str) -> None:
    say(out, 1, 1, emotion="sad")
    # The tracks have other numbers now, the second face has moved a little, and the first is gone.
    write_video(Path(out), _URI, [feeling(0, 0.0, ["angry"] * 4, x=305)], seconds=5)
    assert score_annotations(out).confusion == {("sad", "angry"): 1}
    write_video(Path(out), _URI, [feeling(0, 0.0, ["sad"] * 4, x=10)], seconds=5)
    assert (score_annotations(out).judged, score_annotations(out).found) == (1, 0)


def test_forget_takes_what_was_said_along(out: str) -> None:
    say(out, 0, 0, emotion="sad")
    forget([_URI], out)
    assert not list((Path(out) / "annotations").rglob("*.parquet"))
