"""Chips and their quality, and which rows count."""

import dataclasses
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest

from schemas.config import Config, ModelRef
from schemas.faces import NO_STAMP, FaceBatch, TrackedFaces
from schemas.tables import AT_BORDER, BLURRED, DARK, PROFILE, SMALL, TRACKER_ONLY
from schemas.video import DecodeStats
from tests.clips import Clip, portrait_clip, scene
from tests.transforms.streams import segments_of, tracked
from transforms.crop_faces import crop_faces
from transforms.quality import quality_score, sharpness
from transforms.samples import Sample, SegmentStream

_MODELS = Config(models=(ModelRef("emotion", ("emotion",), ""), ModelRef("age-gender", ("age", "gender"), "")))


class GreyPicture:
    """A picture made up, with chips cut from its luma."""

    def __init__(self, luma: np.ndarray):
        self.luma, self.size, self.box_scale = luma, luma.shape[::-1], (1.0, 1.0)

    def chip(self, transform: np.ndarray, size: int, channels: str) -> np.ndarray:
        grey = cv2.warpAffine(self.luma, transform, (size, size), borderMode=cv2.BORDER_REPLICATE)
        return grey if channels == "grey" else np.repeat(grey[:, :, None], 3, axis=2)


def portrait_luma() -> tuple[np.ndarray, np.ndarray]:
    picture, boxes = scene(0.0, size=(320, 240))
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), boxes[0]


def faces(
    rows: dict[int, bool], box: np.ndarray, ended: dict[int, str] | None = None, *, confirmed: bool = True
) -> TrackedFaces:
    """One face for each track, found by the detector or carried by the tracker."""
    return TrackedFaces(
        track=np.array(list(rows), np.int32),
        xywh=np.array([box] * len(rows), np.float32).reshape(-1, 4),
        confidence=np.array([1.0 if found else np.nan for found in rows.values()], np.float32),
        track_confidence=np.full(len(rows), 8.0, np.float32),
        points=np.full((len(rows), 5, 2), np.nan, np.float32),
        is_confirmed=np.full(len(rows), confirmed),
        ended=ended or {},
    )


def stream(clip: Clip, seen: list[TrackedFaces], luma: np.ndarray, fps: float = 4.0) -> SegmentStream:
    (segment,) = segments_of(clip.path, Config())
    samples = (Sample(i / fps, i, i, GreyPicture(luma), faces=f) for i, f in enumerate(seen))  # type: ignore[arg-type]
    return SegmentStream(segment, samples, DecodeStats())


def one_batch(stream: SegmentStream, config: Config = _MODELS) -> FaceBatch:
    (batch,) = crop_faces(stream, config)
    assert batch.is_last
    return batch


def rows_of(batch: FaceBatch) -> list[tuple[int, float]]:
    return list(zip(batch.columns["track"].tolist(), batch.columns["timestamp"].tolist(), strict=True))


# D: detected, t: carried by the tracker, x: not there.
class TestWhichRowsCount:
    @pytest.mark.parametrize(
        ("seen", "kept"),
        [
            ("DDDD", "DDDD"),
            ("DttD", "DttD"),
            ("DDtt", "DD"),
            ("DttDtt", "DttD"),
            ("Dttx", "D"),
            ("DtDttttDt", "DtDttttD"),
        ],
    )
    def test_what_comes_after_the_last_detection_is_dropped(self, portrait, seen, kept):
        luma, box = portrait_luma()
        sequence = [faces({0: letter == "D"} if letter != "x" else {}, box) for letter in seen]
        if "x" in seen:
            sequence[seen.index("x")] = faces({}, box, {0: "lost"})
        batch = one_batch(stream(portrait, sequence, luma))
        assert batch.columns["timestamp"].tolist() == [i / 4 for i in range(len(kept))]
        only = (batch.columns["quality_flags"] & TRACKER_ONLY) > 0
        assert only.tolist() == [letter == "t" for letter in kept]
        assert np.isnan(batch.columns["confidence"]).tolist() == only.tolist()

    @pytest.mark.parametrize("ends", [True, False])
    def test_what_was_before_a_track_was_confirmed_counts_once_it_is(self, portrait, ends):
        luma, box = portrait_luma()
        seen = [faces({0: True}, box, confirmed=False), faces({0: True}, box, confirmed=False)]
        seen.append(faces({}, box, {0: "lost"}) if ends else faces({0: True}, box))
        assert rows_of(one_batch(stream(portrait, seen, luma))) == ([] if ends else [(0, 0.0), (0, 0.25), (0, 0.5)])

    @pytest.mark.parametrize(
        ("seen", "counting"),
        [("uux", 0), ("uuuux", 2), ("uC", 2), ("CCuux", 2), ("uu", 0), ("Cu", 1)],
    )
    def test_faces_that_will_not_count_are_not_cut_where_the_next_two_samples_show_it(self, portrait, seen, counting):
        """u: not confirmed, C: counts, x: ended. Of the first two of four, nobody can know."""
        luma, box = portrait_luma()
        cut = []

        class Counting(GreyPicture):
            def chip(self, *of):
                cut.append(of)
                return super().chip(*of)

        sequence = [faces({0: True}, box, confirmed=letter == "C") for letter in seen]
        if "x" in seen:
            sequence[seen.index("x")] = faces({}, box, {0: "lost"})
        given = stream(portrait, sequence, luma)
        seen_by: Any = Counting(luma)
        given.samples = (dataclasses.replace(sample, picture=seen_by) for sample in given.samples)
        batch = one_batch(given, Config(models=()))
        assert len(cut) == counting
        assert len(batch) == len(cut) * ("C" in seen)

    def test_tracks_do_not_confirm_each_other(self, portrait):
        luma, box = portrait_luma()
        seen = [faces({0: True, 1: True}, box), faces({0: False, 1: False}, box), faces({0: True, 1: False}, box)]
        assert rows_of(one_batch(stream(portrait, seen, luma))) == [(0, 0.0), (1, 0.0), (0, 0.25), (0, 0.5)]

    def test_the_log_has_every_sample_and_every_end(self, portrait):
        luma, box = portrait_luma()
        seen = [faces({0: True}, box), faces({}, box, {0: "cut"}), faces({1: True}, box), faces({1: False}, box)]
        batch = one_batch(stream(portrait, seen, luma))
        assert batch.log.timestamps == [0, 0.25, 0.5, 0.75]
        assert batch.log.ended == {0: "cut"}
        assert batch.log.times.seconds.keys() == {"crop"}

    def test_nothing_at_all(self, portrait):
        luma, box = portrait_luma()
        batch = one_batch(stream(portrait, [faces({}, box)] * 3, luma))
        assert len(batch) == 0 and batch.chips == {} and not any(len(rows) for rows in batch.rows.values())
        assert batch.log.timestamps == [0, 0.25, 0.5]
        assert {name: values.dtype for name, values in batch.columns.items()}["quality_flags"] == np.uint16

    def test_unknown_stamps(self, portrait):
        luma, box = portrait_luma()
        made = stream(portrait, [faces({0: True}, box)] * 2, luma)
        samples = [dataclasses.replace(s, pts=None, frame=None) for s in made.samples]
        batch = one_batch(dataclasses.replace(made, samples=iter(samples)))
        assert batch.columns["pts"].tolist() == batch.columns["frame"].tolist() == [NO_STAMP] * 2


class TestParts:
    def random_faces(self, box: np.ndarray) -> list[TrackedFaces]:
        rng = np.random.default_rng(3)
        seen, count = [], 0
        open_tracks: set[int] = set()
        for _ in range(60):
            ended = {track: "lost" for track in sorted(open_tracks) if rng.random() < 0.08}
            open_tracks -= set(ended)
            rows = {track: bool(rng.random() < 0.4) for track in sorted(open_tracks)}
            if rng.random() < 0.3:
                rows[count] = True
                open_tracks.add(count)
                count += 1
            seen.append(faces(rows, box + rng.uniform(-6, 6, 4), ended))
        return seen

    @pytest.mark.parametrize("part_rows", [1, 7, 30])
    def test_together_they_are_one_batch(self, portrait, part_rows):
        luma, box = portrait_luma()
        seen = self.random_faces(box)
        whole = one_batch(stream(portrait, seen, luma))
        parts = list(crop_faces(stream(portrait, seen, luma), _MODELS, part_rows=part_rows))
        assert len(parts) > 2 and len(whole) > 60
        assert [part.part for part in parts] == list(range(len(parts)))
        assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
        for name, values in whole.columns.items():
            np.testing.assert_array_equal(values, np.concatenate([part.columns[name] for part in parts]), name)
            assert all(part.columns[name].dtype == values.dtype for part in parts)
        for name, chips in whole.chips.items():
            np.testing.assert_array_equal(chips, np.concatenate([p.chips[name] for p in parts if len(p)]), name)
        starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        for task, of_whole in whole.rows.items():
            of_parts = [part.rows[task] + start for part, start in zip(parts, starts, strict=True)]
            np.testing.assert_array_equal(of_whole, np.concatenate(of_parts))
        for name in ("timestamps", "is_cut"):
            assert getattr(whole.log, name) == [value for part in parts for value in getattr(part.log, name)]
        assert parts[-1].log.ended == whole.log.ended

    def test_rows_are_in_order(self, portrait):
        luma, box = portrait_luma()
        batch = one_batch(stream(portrait, self.random_faces(box), luma))
        keys = list(zip(batch.columns["timestamp"], batch.columns["track"], strict=True))
        assert keys == sorted(keys) and len(keys) == len(set(keys))


class TestBest:
    def test_age_and_gender_are_read_from_the_best_of_each_second(self, portrait):
        luma, box = portrait_luma()
        seen = [faces({0: True, 1: True}, box + np.array((0, 0, i % 4, i % 4))) for i in range(10)]
        batch = one_batch(stream(portrait, seen, luma), dataclasses.replace(_MODELS))
        columns, best = batch.columns, set(batch.rows["age_gender"].tolist())
        assert len(batch.chips["age_gender"]) == len(best)
        for track in (0, 1):
            for second in (0, 1, 2):
                rows = np.flatnonzero((columns["track"] == track) & (columns["timestamp"] // 1 == second))
                chosen = [row for row in rows if row in best]
                assert len(chosen) == 2
                others = [row for row in rows if row not in best]
                quality = columns["quality"]
                assert quality[chosen].min() >= quality[others].max(initial=0)


class TestQuality:
    def columns(self, portrait, luma: np.ndarray, box: np.ndarray) -> dict[str, np.ndarray]:
        return one_batch(stream(portrait, [faces({0: True}, box)], luma)).columns

    def test_a_good_face_has_no_flag(self, portrait):
        luma, box = portrait_luma()
        columns = self.columns(portrait, luma, box)
        assert columns["quality_flags"][0] == 0
        assert columns["face_px"][0] == pytest.approx(box[2], rel=1e-3)
        assert np.abs(columns["roll"][0]) < 12 and np.abs(columns["yaw"][0]) < 25

    def test_dark(self, portrait):
        luma, box = portrait_luma()
        columns = self.columns(portrait, (luma * 0.15).astype(np.uint8), box)
        assert columns["quality_flags"][0] & DARK and columns["brightness"][0] < 50

    def test_blurred(self, portrait):
        luma, box = portrait_luma()
        sharp, blurred = luma, cv2.GaussianBlur(luma, (0, 0), 6)
        columns = [self.columns(portrait, picture, box) for picture in (sharp, blurred)]
        assert columns[1]["quality_flags"][0] & BLURRED and not columns[0]["quality_flags"][0] & BLURRED
        assert columns[1]["quality"][0] < columns[0]["quality"][0]

    def test_small(self, portrait):
        luma, box = portrait_luma()
        columns = self.columns(portrait, cv2.resize(luma, (128, 96), interpolation=cv2.INTER_AREA), box * 0.4)
        assert columns["quality_flags"][0] & SMALL

    def test_at_the_border(self, portrait):
        luma, box = portrait_luma()
        x, y = box[:2].astype(int)
        columns = self.columns(portrait, np.ascontiguousarray(luma[y + 8 :, x + 8 :]), box - (x + 8, y + 8, 0, 0))
        assert columns["quality_flags"][0] & AT_BORDER

    @pytest.mark.parametrize(("confidence", "is_profile"), [(0.9, True), (0.4, False)])
    def test_profile(self, portrait, confidence, is_profile):
        luma, box = portrait_luma()
        looks_left = np.array([(0.2, 0.4), (0.3, 0.4), (0.05, 0.6), (0.2, 0.8), (0.25, 0.8)])
        points = (box[:2] + looks_left * box[2:])[None].astype(np.float32)
        seen = faces({0: True}, box)
        seen = dataclasses.replace(seen, points=points, confidence=np.array([confidence], np.float32))
        config = Config().override(detector="yunet")
        columns = one_batch(stream(portrait, [seen], luma), config).columns
        assert bool(columns["quality_flags"][0] & PROFILE) == is_profile
        assert (columns["yaw"][0] < -45) == np.isnan(columns["pitch"][0]) == is_profile
        assert (
            np.isfinite(columns["pose_std"][0]) == is_profile
        )  # points of a detection that does not count say nothing

    def test_sharpness_falls_with_blur(self):
        chip = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
        values = [sharpness(cv2.GaussianBlur(chip, (0, 0), s)) for s in (0.5, 1, 2, 4)]
        assert values == sorted(values, reverse=True)
        assert sharpness(np.full((48, 48), 9, np.uint8)) == 0

    def test_the_score_goes_the_right_way(self):
        base = {"face_px": 80.0, "sharp": 200.0, "brightness": 120.0, "yaw": 5.0, "flags": 0}

        def score(**change: float) -> float:
            values = {name: np.array([value]) for name, value in (base | change).items()}
            return float(quality_score(**values)[0])

        best = score()
        assert 0 < best <= 1
        worse = [{"face_px": 30.0}, {"sharp": 20.0}, {"brightness": 20.0}, {"brightness": 250.0}, {"yaw": -60.0}]
        worse += [{"yaw": np.nan}, {"flags": AT_BORDER}, {"flags": TRACKER_ONLY}]
        assert all(0 < score(**change) < best for change in worse)


class TestClips:
    def test_chips_show_the_face(self, moving_portrait):
        (segment,) = segments_of(moving_portrait.path, Config())
        batch = one_batch(tracked(segment, _MODELS.override(detector="hog")))
        assert len(batch) == 15  # the last of 16 samples is behind the last detection
        emotion, age = batch.chips["emotion"], batch.chips["age_gender"]
        assert emotion.dtype == age.dtype == np.uint8 and emotion.shape[0] == 15 and emotion.ndim == 3
        assert age.shape[0] == len(batch.rows["age_gender"]) == 8 and age.shape[-1] == 3
        chips = emotion.reshape(15, -1).astype(float)
        assert np.corrcoef(chips)[0].min() > 0.8  # the same face at the same place, wherever it is in the picture

    def test_boxes_are_in_decoded_pixels(self, tmp_path, portrait):
        clip = portrait_clip(tmp_path / "x.mp4", sar=Fraction(16, 11), seconds=0.5)
        (segment,) = segments_of(clip.path, Config())
        columns = one_batch(tracked(segment, _MODELS)).columns
        x, _, width, height = (columns[name][0] for name in ("x", "y", "width", "height"))
        assert width / height == pytest.approx(11 / 16, rel=0.03)
        assert x + width / 2 == pytest.approx(clip.boxes[0, 0, 0] + clip.boxes[0, 0, 2] / 2, abs=6)
        assert columns["face_px"][0] == pytest.approx(height, rel=0.02)  # but sizes in square ones

    def test_without_models_there_are_no_chips(self, portrait):
        (segment,) = segments_of(portrait.path, Config())
        batch = one_batch(tracked(segment, Config()), Config())
        assert len(batch) == 8 and batch.chips == {}
