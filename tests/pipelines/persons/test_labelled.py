"""Videos in which known people return after cuts and in other videos: how often tracks are told to be the right one's.

The people are those of the sample archive, cut out of its clips: two in each shot, side by side, nearer or further
away, in other light, at other moments of their clips.
"""

import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream

from pipelines.persons.update import find_persons
from pipelines.results.persons import read_persons
from pipelines.runs.analyze_archive import analyze
from pipelines.settings import make_config
from tests.embeddings import pairwise_f1
from tests.tables import rows

_WIDTH, _HEIGHT, _FPS, _SHOT = 640, 320, 8, 1.5
# Person → clips, and the part of their pictures (x, y, width, height in shares) that shows this person alone.
PEOPLE = {
    "actor": [("actor_expressions.mp4", (0.0, 0.0, 1.0, 1.0))],
    "host": [("single_talker.mp4", (0.1, 0.0, 0.8, 1.0)), ("none_then_face.mov", (0.1, 0.0, 0.8, 1.0))],
    "mother": [("mother_daughter.mp4", (0.0, 0.0, 0.5, 1.0))],
    "daughter": [("mother_daughter.mp4", (0.45, 0.1, 0.55, 0.9))],
    "speaker": [("speech_mpeg4.mp4", (0.0, 0.0, 1.0, 1.0))],
    "newsreader": [("news_qcif.mp4", (0.1, 0.0, 0.8, 0.9))],
    "signer": [("signer_please.mkv", (0.2, 0.0, 0.6, 0.8)), ("signer_thanks.mkv", (0.2, 0.0, 0.6, 0.8))],
    "second signer": [("signer_sister.mkv", (0.2, 0.0, 0.6, 0.8))],
    "third signer": [("signer_again.mkv", (0.2, 0.0, 0.6, 0.8))],
}


@functools.cache
def pictures(file: Path) -> list[np.ndarray]:
    """The frames of a clip, in RGB."""
    with av.open(str(file)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def shot(folder: Path, person: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pictures of one person, [320, 320, 3], from a moment of a clip on."""
    name, (x, y, width, height) = PEOPLE[person][rng.integers(len(PEOPLE[person]))]
    frames = pictures(folder / name)
    if name == "none_then_face.mov":
        frames = frames[len(frames) * 3 // 4 :]
    start, gain, side = rng.integers(len(frames)), rng.uniform(0.75, 1.15), rng.integers(200, 281)
    pattern = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (_WIDTH // 2, _HEIGHT))  # so that a cut shows
    left, top = rng.integers(0, _HEIGHT - side + 1, 2)
    for i in range(round(_SHOT * _FPS)):
        frame = frames[(start + 2 * i) % len(frames)]
        h, w = frame.shape[:2]
        part = frame[int(y * h) : int((y + height) * h), int(x * w) : int((x + width) * w)]
        scale = side / max(part.shape[:2])
        small = cv2.resize(
            part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        ground = pattern.copy()
        ground[top : top + small.shape[0], left : left + small.shape[1]] = cv2.convertScaleAbs(small, alpha=gain)
        yield ground


def make_video(path: Path, folder: Path, who: list[tuple[str, str]], rng: np.random.Generator) -> None:
    """A video with a shot for each pair of people, left and right."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(_FPS), options={"crf": "20", "preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for pair in who:
            for left, right in zip(*(shot(folder, person, rng) for person in pair), strict=True):
                frame = av.VideoFrame.from_ndarray(np.hstack([left, right]), format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def who_is_seen(tracks: list[dict[str, Any]], pairs: list[tuple[str, str]]) -> list[str]:
    """The person of each track of a video, or whose shirt or hand it is.

    There is one person in each half of a shot. What lies below another box there is a hand, or the face that is printed
    on the third signer's shirt: nobody, who must not be joined with the person either.
    """
    shots: dict[tuple[int, bool], list[dict[str, Any]]] = {}
    for track in tracks:
        is_right = track["best_x"] + track["best_width"] / 2 > _WIDTH / 2
        shots.setdefault((int(track["best_timestamp"] / _SHOT), is_right), []).append(track)
    seen = {}
    for (shot, is_right), here in shots.items():
        highest = min(track["best_y"] for track in here)
        for track in here:
            is_face = track["best_y"] < highest + track["best_height"] / 2
            seen[track["track_id"]] = ("" if is_face else "shirt of ") + pairs[shot][is_right]
    return [seen[track["track_id"]] for track in tracks]


@pytest.mark.slow
def test_people_who_return_after_cuts_and_in_other_videos(shared_videos: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    (tmp_path / "videos").mkdir()
    true_pairs = {}
    for number in range(10):
        cast = rng.choice(list(PEOPLE), 4, replace=False).tolist()
        order = [cast[i] for _ in range(3) for i in rng.permutation(4)]
        pairs = list(zip(order[::2], order[1::2], strict=True))
        path = tmp_path / "videos" / f"{number}.mp4"
        make_video(path, shared_videos / "faces", pairs, rng)
        true_pairs[str(path)] = pairs
    out = tmp_path / "out"
    config = make_config(emotion_model=None, age_gender_model=None, persons="archive")
    analyze(str(tmp_path / "videos"), str(out), config=config, runner="direct")
    find_persons(str(out))

    uri = {row["video_id"]: row["uri"] for row in rows(out, "videos")}
    across = {(r["video_id"], r["track_id"]): r["person_id"] for r in read_persons(str(out), "appearances").to_pylist()}
    true, true_within, within, archive = [], [], [], []
    for video_id, name in uri.items():
        tracks = rows(out, "tracks", video_id=video_id)
        seen = who_is_seen(tracks, true_pairs[name])
        found = [track["person_id"] for track in tracks]
        true += seen
        true_within += [f"{video_id} {person}" for person in seen]
        within += [f"{video_id} {person}" for person in found]
        archive += [across[video_id, track["track_id"]] for track in tracks]
    assert len(true) >= 100  # of 120; some last from one shot to the next
    f1_within = pairwise_f1(np.array(true_within), np.array(within))
    f1_across = pairwise_f1(np.array(true), np.array(archive))
    of_two = [p for p in set(archive) if len({t for t, a in zip(true, archive, strict=True) if a == p}) > 1]
    of_two += [p for p in set(within) if len({t for t, a in zip(true, within, strict=True) if a == p}) > 1]
    assert f1_within >= 0.98 and f1_across >= 0.95 and not of_two, (f1_within, f1_across, of_two)
