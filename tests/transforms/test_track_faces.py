"""Faces keep their track numbers through gaps and when they pass each other, until they are lost or cut."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.config import Config
from schemas.faces import Boxes, TrackedFaces
from tests.clips import Clip
from tests.transforms.streams import fake_samples, tracked_file
from transforms.motion import SteadyMotion
from transforms.track_faces import FaceTracker, TrackerSettings, assign, overlap, track_faces

_STEP = 0.25
_SIZE = 60


def boxes(*corners: tuple[float, float], size: float = _SIZE, score: float = 1.0) -> Boxes:
    xywh = np.array([(x, y, size, size) for x, y in corners], np.float32).reshape(-1, 4)
    return Boxes(xywh, np.full(len(corners), score, np.float32))


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8)
    return cv2.resize(noise, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC)


def picture(*corners: tuple[float, float], seeds: tuple[int, ...] = (1, 2, 3)) -> np.ndarray:
    """A grey ground with a textured square at each corner, each of its own texture."""
    rng = np.random.default_rng(9)
    luma = cv2.resize(rng.integers(90, 130, (30, 40), np.uint8), (400, 300), interpolation=cv2.INTER_CUBIC)
    for (x, y), seed in zip(corners, seeds, strict=False):
        luma[round(y) : round(y) + _SIZE, round(x) : round(x) + _SIZE] = texture(seed)
    return luma


def follow(tracker: FaceTracker, lumas, detections, **options) -> list[TrackedFaces]:
    return [
        tracker.follow(luma, i * _STEP, found, **options)
        for i, (luma, found) in enumerate(zip(lumas, detections, strict=True))
    ]


class TestOverlap:
    box = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(1, 60), st.floats(1, 60))

    @given(a=st.lists(box, min_size=1, max_size=4), b=st.lists(box, min_size=1, max_size=4))
    def test_it_is_a_similarity(self, a, b):
        a, b = np.array(a), np.array(b)
        found = overlap(a, b)
        assert found.shape == (len(a), len(b))
        assert ((found >= 0) & (found <= 1 + 1e-9)).all()
        np.testing.assert_allclose(found, overlap(b, a).T)
        np.testing.assert_allclose(np.diag(overlap(a, a)), 1, rtol=1e-6)
        shift = np.array([7, -3, 0, 0])
        np.testing.assert_allclose(found, overlap(a + shift, b + shift), atol=1e-9)

    @given(
        a=st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2),
        b=st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2),
    )
    def test_it_counts_pixels(self, a, b):
        masks = []
        for x, y, width, height in (a, b):
            mask = np.zeros((24, 24), bool)
            mask[y : y + height, x : x + width] = True
            masks.append(mask)
        expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        assert overlap(np.array([a]), np.array([b]))[0, 0] == pytest.approx(expected)

    def test_none(self):
        assert overlap(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
        assert overlap(np.array([[0, 0, 10, 10]]), np.array([[10, 0, 10, 10]]))[0, 0] == 0


class TestAssign:
    matrices = hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=4),
        elements=st.integers(0, 100).map(lambda n: n / 100),
    )

    @given(matrices, st.floats(0.05, 0.9))
    def test_it_is_the_best_of_all(self, similarity, threshold):
        pairs = assign(similarity, threshold)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
        assert all(similarity[pair] >= threshold for pair in pairs)
        allowed = np.where(similarity >= threshold, similarity, 0)
        if allowed.shape[0] > allowed.shape[1]:
            allowed = allowed.T
        rows, columns = range(allowed.shape[0]), range(allowed.shape[1])
        best = max(
            sum(allowed[r, c] for r, c in zip(rows, p, strict=True)) for p in itertools.permutations(columns, len(rows))
        )
        assert sum(similarity[pair] for pair in pairs) == pytest.approx(best)

    def test_greed_is_not_enough(self):
        assert sorted(assign(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.3)) == [(0, 1), (1, 0)]


class TestIds:
    @pytest.mark.parametrize("speed", [10, 20, 30])
    @pytest.mark.parametrize("detect_each", [1, 2])
    def test_two_that_cross_without_touching_keep_theirs(self, speed, detect_each):
        count = 280 // speed
        left = [(20 + speed * i, 40) for i in range(count)]
        right = [(320 - speed * i, 150) for i in range(count)]
        lumas = [picture(a, b) for a, b in zip(left, right, strict=True)]
        found = [
            boxes(*((a, b) if i % 4 < 2 else (b, a))) if i % detect_each == 0 else None  # in any order
            for i, (a, b) in enumerate(zip(left, right, strict=True))
        ]
        faces = follow(FaceTracker(TrackerSettings()), lumas, found)
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert faces[i].track.tolist() == [0, 1], i
            truth = boxes(a, b).xywh
            assert np.diag(overlap(faces[i].xywh, truth)).min() > 0.5, i

    def test_two_that_brush_past_each_other_keep_theirs(self):
        left = [(20 + 20 * i, 40) for i in range(14)]
        right = [(300 - 20 * i, 40 + _SIZE + 4) for i in range(14)]
        lumas = [picture(a, b) for a, b in zip(left, right, strict=True)]
        found = [boxes(b, a) if i % 2 == 0 else None for i, (a, b) in enumerate(zip(left, right, strict=True))]
        faces = follow(FaceTracker(TrackerSettings()), lumas, found)
        assert [f.track.tolist() for f in faces] == [[0, 1]] * 14
        for i in range(14):
            truth = boxes(right[i], left[i]).xywh
            assert np.diag(overlap(faces[i].xywh, truth)).min() > 0.5

    @pytest.mark.parametrize("speed", [40, 60, 100])
    def test_too_fast_to_follow_is_another_track_but_no_swap(self, speed):
        count = 280 // speed + 1
        left = [(20 + speed * i, 40) for i in range(count)]
        right = [(320 - speed * i, 150) for i in range(count)]
        lumas = [picture(a, b) for a, b in zip(left, right, strict=True)]
        found = [boxes(a, b) if i % 2 else boxes(b, a) for i, (a, b) in enumerate(zip(left, right, strict=True))]
        seen: dict[int, set[bool]] = {}
        for faces in follow(FaceTracker(TrackerSettings()), lumas, found):
            for track, box, confidence in zip(faces.track, faces.xywh, faces.confidence, strict=True):
                if not np.isnan(confidence):
                    seen.setdefault(int(track), set()).add(bool(box[1] < 100))
        assert all(len(which) == 1 for which in seen.values())

    def test_faces_are_numbered_as_they_come(self):
        lumas = [picture((20, 40), (200, 150))] * 3
        faces = follow(FaceTracker(TrackerSettings()), lumas, [boxes((20, 40)), boxes((200, 150), (20, 40)), None])
        assert [f.track.tolist() for f in faces] == [[0], [0, 1], [0, 1]]
        assert faces[0].xywh.dtype == np.float32 and faces[0].track.dtype == np.int32

    def test_a_face_that_comes_back_to_its_place_goes_on(self):
        """The tracker stays with something else; the detection lies where the last one was."""
        lumas = [picture((100, 100)), picture(), picture(), picture((100, 100))]
        tracker = FaceTracker(TrackerSettings(tracker_threshold=0.0))
        faces = follow(tracker, lumas, [boxes((100, 100)), boxes(), boxes(), boxes((100, 100))])
        assert faces[-1].track.tolist() == [0]

    def test_what_the_tracker_is_not_asked_it_does_not_say(self):
        lumas = [picture((100, 100))] * 3
        faces = follow(FaceTracker(TrackerSettings()), lumas, [boxes((100, 100)), boxes((101, 100)), None])
        assert np.isnan([f.track_confidence[0] for f in faces]).tolist() == [True, True, False]
        assert np.isnan([f.confidence[0] for f in faces]).tolist() == [False, False, True]


class TestEnds:
    def test_lost_after_some_time_without_a_detection(self):
        lumas = [picture((100, 100))] * 12
        faces = follow(FaceTracker(TrackerSettings(lost_after=2.0)), lumas, [boxes((100, 100))] + [boxes()] * 11)
        assert [len(f.track) for f in faces] == [1] * 8 + [0] * 4
        assert [f.ended for f in faces] == [{}] * 8 + [{0: "lost"}] + [{}] * 3

    def test_lost_when_the_tracker_has_nothing_to_hold_on_to(self):
        noise = np.random.default_rng(5).integers(0, 256, (300, 400), np.uint8)
        lumas = [picture((100, 100)), picture((102, 100)), noise]
        tracker = FaceTracker(TrackerSettings(tracker_threshold=8.0))  # 24 on the face, 4 on the noise
        faces = follow(tracker, lumas, [boxes((100, 100)), None, None])
        assert [f.track.tolist() for f in faces] == [[0], [0], []]
        assert faces[2].ended == {0: "lost"}

    def test_lost_outside_the_picture(self):
        lumas = [picture((100 + 0 * i, 100)) for i in range(2)]
        tracker = FaceTracker(TrackerSettings(tracker_threshold=0.0))
        tracker.follow(lumas[0], 0.0, boxes((100, 100)))
        tracker._tracks[0].advance = lambda sample: 9.0  # type: ignore[method-assign]
        tracker._tracks[0].box = np.array((371, 100, _SIZE, _SIZE), np.float32)
        assert tracker.follow(lumas[1], _STEP, None).ended == {0: "lost"}

    def test_at_a_cut_all_end_and_others_begin(self):
        tracker = FaceTracker(TrackerSettings())
        tracker.follow(picture((100, 100)), 0.0, boxes((100, 100)))
        faces = tracker.follow(picture((100, 100)), _STEP, boxes((100, 100)), is_cut=True)
        assert faces.ended == {0: "cut"}
        assert faces.track.tolist() == [1]

    def test_a_detection_renews_the_time(self):
        lumas = [picture((100, 100))] * 16
        found = [boxes((100, 100)) if i % 7 == 0 else None for i in range(16)]
        faces = follow(FaceTracker(TrackerSettings(lost_after=2.0)), lumas, found)
        assert [f.track.tolist() for f in faces] == [[0]] * 16


class TestWeakDetections:
    def test_they_continue_a_track(self):
        lumas = [picture((100, 100))] * 16
        found = [boxes((100, 100)), *([boxes((100, 100), score=-0.3)] * 15)]
        faces = follow(FaceTracker(TrackerSettings(lost_after=1.0)), lumas, found)
        assert [f.track.tolist() for f in faces] == [[0]] * 16
        assert faces[-1].confidence[0] == np.float32(-0.3)

    def test_alone_they_confirm_none(self):
        lumas = [picture((100, 100))] * 4
        faces = follow(FaceTracker(TrackerSettings()), lumas, [boxes((100, 100), score=-0.1)] * 4)
        assert [f.track.tolist() for f in faces] == [[0]] * 4
        assert not any(f.is_confirmed.any() for f in faces)

    def test_a_sure_one_confirms_what_was_before(self):
        found = [boxes((100, 100), score=score) for score in (-0.3, -0.2, 0.4)]
        faces = follow(FaceTracker(TrackerSettings()), [picture((100, 100))] * 3, found)
        assert [f.track.tolist() for f in faces] == [[0]] * 3
        assert [f.is_confirmed.tolist() for f in faces if f is not None] == [[False], [False], [True]]

    @pytest.mark.parametrize(("scores", "confirmed"), [((0.6, 0.4, 0.65), True), ((0.6, 0.59, 0.59), False)])
    def test_two_that_count_confirm(self, scores, confirmed):
        settings = TrackerSettings(counts_from=0.6, sure_from=0.7)
        found = [boxes((100, 100), score=score) for score in scores]
        faces = follow(FaceTracker(settings), [picture((100, 100))] * 3, found)
        assert faces[-1].is_confirmed.tolist() == [confirmed]

    @pytest.mark.parametrize("correlates", [True, False])
    def test_what_is_not_confirmed_ends_at_the_first_look_without_it(self, correlates):
        settings = TrackerSettings(counts_from=0.6, sure_from=0.7, correlates=correlates)
        found = [boxes((100, 100), score=0.65), boxes(), boxes((100, 100), score=0.65)]
        faces = follow(FaceTracker(settings), [picture((100, 100))] * 3, found)
        assert [f.track.tolist() for f in faces] == [[0], [], [1]]
        assert faces[1].ended == {0: "lost"} and not faces[2].is_confirmed[0]

    @pytest.mark.parametrize(
        ("cuts", "confirmed"),
        [
            ([False], [True]),
            ([False, False], [False, True]),
            ([False, True], [True, True]),
            ([True, True, False], [True, False, True]),
            ([False, False, True], [False, True, True]),
        ],
    )
    def test_in_a_shot_of_one_sample_all_that_count_are_faces(self, cuts, confirmed):
        """Elsewhere a second look has to agree."""
        settings = TrackerSettings(counts_from=0.6, sure_from=0.7)
        samples = fake_samples([picture((100, 100))] * len(cuts))
        for sample, is_cut in zip(samples, cuts, strict=True):
            sample.is_cut = is_cut
            sample.detections = boxes((100, 100), (200, 100), score=0.65)
            sample.detections.score[1] = 0.59
        faces = [sample.faces for sample in track_faces(samples, settings)]
        assert [f.is_confirmed.tolist() for f in faces if f is not None] == [[one, False] for one in confirmed]

    def test_a_strong_one_comes_first(self):
        lumas = [picture((100, 100))] * 2
        near = boxes((104, 100))
        both = Boxes(np.concatenate([boxes((100, 100)).xywh, near.xywh]), np.array([-0.2, 1.0], np.float32))
        faces = follow(FaceTracker(TrackerSettings()), lumas, [boxes((100, 100)), both])
        assert faces[1].track.tolist() == [0, 1]
        assert faces[1].confidence[0] == 1.0
        assert faces[1].is_confirmed.tolist() == [True, False]


class TestSteadyMotion:
    """A detector that runs on every sample: what it does not see has no row."""

    settings = TrackerSettings(correlates=False)

    def test_a_face_that_is_not_seen_has_no_row_and_keeps_its_track(self):
        found = [boxes((100, 100)), boxes(), boxes(), boxes((104, 100))]
        faces = follow(FaceTracker(self.settings), [picture()] * 4, found)
        assert [f.track.tolist() for f in faces] == [[0], [], [], [0]]
        assert np.isnan(faces[3].track_confidence).all()

    @pytest.mark.parametrize("missed", [1, 2])
    def test_a_face_that_moves_is_looked_for_where_it_should_be(self, missed):
        at = [(20 + 25 * i, 100) for i in range(8)]
        found = [boxes(place) if not 3 <= i < 3 + missed else boxes() for i, place in enumerate(at)]
        faces = follow(FaceTracker(self.settings), [picture()] * 8, found)
        assert {int(t) for f in faces for t in f.track} == {0}

    def test_it_does_not_run_away(self):
        """After half a second a face waits where it would be."""
        motion = SteadyMotion()
        for i in range(3):
            motion.detected(boxes((100 + 10 * i, 100)).xywh[0], picture(), i * 0.25)
        places = [motion.advance(picture(), 0.5 + later)[0][0] for later in (0.25, 0.5, 2.0)]
        assert places == pytest.approx([130, 140, 140])

    def test_lost_after_some_time(self):
        faces = follow(FaceTracker(self.settings), [picture()] * 12, [boxes((100, 100))] + [boxes()] * 11)
        assert [f.ended for f in faces] == [{}] * 8 + [{0: "lost"}] + [{}] * 3


@pytest.mark.parametrize("correlates", [True, False])
@pytest.mark.parametrize(("pause", "tracks"), [(1.9, [0, 0]), (1800.0, [0, 1])])
def test_a_hole_in_the_recording_ends_a_track(correlates, pause, tracks):
    tracker = FaceTracker(TrackerSettings(correlates=correlates, gap=2.25))
    tracker.follow(picture((100, 100)), 0.0, boxes((100, 100)))
    faces = [tracker.follow(picture((100, 100)), when, boxes((100, 100))) for when in (0.25, 0.25 + pause)]
    assert [int(f.track[0]) for f in faces] == tracks
    assert faces[1].ended == ({} if tracks == [0, 0] else {0: "lost"})


def test_the_points_are_those_of_the_detection():
    found = boxes((20, 40), (200, 150))
    points = np.random.default_rng(4).random((2, 5, 2)).astype(np.float32)
    found = Boxes(found.xywh, found.score, points)
    other = Boxes(found.xywh[::-1], found.score, points[::-1])
    faces = follow(FaceTracker(TrackerSettings()), [picture((20, 40), (200, 150))] * 3, [found, other, None])
    np.testing.assert_array_equal(faces[0].points, points)
    np.testing.assert_array_equal(faces[1].points, points)
    assert faces[2].points.shape == (2, 5, 2) and np.isnan(faces[2].points).all()


class TestClips:
    def test_a_moving_face_is_one_track_where_it_is(self, moving_portrait):
        self.check(moving_portrait, 1)

    def test_two_faces_are_two_tracks(self, two_faces):
        self.check(two_faces, 2)

    def check(self, clip: Clip, count: int) -> None:
        for sample in tracked_file(clip.path, Config().override(min_face=60)):
            assert sample.faces is not None
            truth = clip.boxes[np.argmin(np.abs(clip.times - sample.timestamp))]
            order = np.argsort(sample.faces.track)
            found = sample.faces.xywh[order]
            assert sorted(sample.faces.track) == list(range(count)), sample.timestamp
            if sample.timestamp == 0:  # dlib says which is the first
                to_face = overlap(found, truth).argmax(axis=1)
            assert np.diag(overlap(found, truth[to_face])).min() > 0.4, sample.timestamp

    def test_a_cut_ends_a_track(self, cut_clip):
        ended = {s.timestamp: s.faces.ended for s in tracked_file(cut_clip.path, Config()) if s.faces and s.faces.ended}
        assert ended == {2.0: {0: "cut"}}

    def test_a_face_that_leaves_and_comes_back(self, face_leaves):
        samples = tracked_file(face_leaves.path, Config())
        ended = {s.timestamp: s.faces.ended for s in samples if s.faces and s.faces.ended}
        assert len(ended) == 1
        ((when, reasons),) = ended.items()
        assert 1.0 <= when <= 3.0 and set(reasons.values()) <= {"lost", "cut"}
        assert {int(t) for s in samples if s.faces and s.timestamp >= 4 for t in s.faces.track} == {1}

    def test_nothing_in_an_empty_picture(self, no_face):
        assert all(s.faces is not None and len(s.faces.track) == 0 for s in tracked_file(no_face.path, Config()))

    def test_a_sideways_clip_has_the_boxes_of_the_upright_one(self, sideways):
        upright, turned = (tracked_file(clip.path, Config()) for clip in sideways)
        assert len(upright) == len(turned) == 8
        for a, b in zip(upright, turned, strict=True):
            assert a.faces is not None and b.faces is not None
            assert a.faces.track.tolist() == b.faces.track.tolist() == [0]
            np.testing.assert_allclose(a.faces.xywh, b.faces.xywh, atol=2)

    @pytest.mark.slow
    def test_two_people_stay_two(self, shared_videos):
        samples = tracked_file(shared_videos / "faces/mother_daughter.mp4", Config().override(min_face=60))
        tracks = np.concatenate([s.faces.track for s in samples if s.faces])
        lengths = np.bincount(tracks)
        assert sorted(lengths)[-2:] == pytest.approx([len(samples)] * 2, abs=4)
