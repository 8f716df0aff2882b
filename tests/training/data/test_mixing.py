from pathlib import Path

import numpy as np
import pytest

from schemas.tables import EMOTIONS
from tests.training.parts import make_faces, make_part
from training.data.batches import Part, batches
from training.data.labelled_faces import Faces
from training.data.mixing import POSED, VOTED, WILD, spread, style_of, thinned
from training.datasets import KINDS, LabelledPicture
from training.recipe import Mix

MIX = Mix(voted=0.5, wild=0.3, posed=0.2, least=0.05, repeats=4, most=5)
HAPPY, FEAR, NEUTRAL = (EMOTIONS.index(name) for name in ("happy", "fear", "neutral"))


def faces(kind: str, counts: dict[int, int]) -> Faces:
    """Faces of a kind, with so many of each class; of FER2013, everybody votes for it."""
    emotion = np.repeat(list(counts), list(counts.values()))
    votes = np.eye(7, dtype=np.float32)[emotion] * (kind == "fer2013")
    made = make_faces(len(emotion), emotion=emotion, votes=votes)
    object.__setattr__(made, "kind", kind)
    return made


def mixed(*sets: Faces, mix: Mix = MIX) -> Part:
    part = make_part(*sets)
    return Part(part.sets, part.owner, part.row, mix)


def drawn(part: Part) -> dict[str, np.ndarray]:
    """Numbers of the faces of an epoch by style."""
    order = part.order(1, 0)
    style = np.array([style_of(kind) for kind in part.kinds[order]])
    return {name: order[style == name] for name in (VOTED, WILD, POSED)}


FER = {HAPPY: 150, NEUTRAL: 147, FEAR: 3}


def test_kinds_have_styles() -> None:
    assert {style_of(kind) for kind in ("affectnet", "rafdb", "expw", "sfew", "afew", "folder")} == {WILD}
    assert {kind for kind in KINDS if style_of(kind) == POSED} == {
        *("kdef", "rafd", "faces", "jaffe", "ck_plus", "taiwanese", "crema_d", "ravdess")
    }


def test_shares_do_not_depend_on_sizes() -> None:
    part = mixed(
        faces("fer2013", FER), faces("affectnet", {HAPPY: 3000, FEAR: 60}), faces("kdef", {HAPPY: 40, FEAR: 40})
    )
    of = drawn(part)
    assert set(range(300)) <= set(of[VOTED]) and len(of[VOTED]) == 300 + 9  # a picture at most four times
    assert len(of[WILD]) == pytest.approx(309 / 0.5 * 0.3, abs=2) and len(of[POSED]) == pytest.approx(124, abs=2)
    wild, posed = (np.bincount(part.emotion[of[style]], minlength=7) for style in (WILD, POSED))
    assert abs(wild[HAPPY] - wild[FEAR]) <= 1 and abs(posed[HAPPY] - posed[FEAR]) <= 1
    assert np.bincount(of[POSED]).max() <= 2
    as_they_are = mixed(*part.sets, mix=Mix(balance=0.0))
    counts = np.bincount(part.emotion[drawn(as_they_are)[WILD]], minlength=7)
    assert counts[FEAR] < counts[HAPPY] / 20


def test_a_small_set_is_not_repeated_without_end() -> None:
    part = mixed(faces("fer2013", FER), faces("jaffe", {HAPPY: 2, FEAR: 2}))
    assert np.bincount(drawn(part)[POSED])[-4:].tolist() == [4] * 4


def test_each_set_counts_by_the_root_of_its_size() -> None:
    part = mixed(faces("fer2013", FER), faces("kdef", {HAPPY: 100}), faces("rafd", {HAPPY: 900}))
    sizes = np.bincount(part.owner[drawn(part)[POSED]])
    assert sizes[2] / sizes[1] == pytest.approx(3, abs=0.1)


def test_an_epoch_has_its_own_order_and_every_batch_the_mix() -> None:
    part = mixed(faces("fer2013", FER), faces("expw", {HAPPY: 500, FEAR: 500}), faces("kdef", {HAPPY: 200, FEAR: 200}))
    first = part.order(1, 0)
    np.testing.assert_array_equal(first, part.order(1, 0))
    assert len(part.order(1, 1)) == len(first) == part.per_epoch and (first != part.order(1, 1)).any()
    for start in range(0, 500, 100):
        assert 40 <= (part.owner[first[start : start + 100]] == 0).sum() <= 60
    assert len(batches(part, targets=(part.emotion,), size=4, batch=100, seed=1)) == part.per_epoch // 100


def test_without_voted_pictures_the_others_share() -> None:
    part = mixed(faces("expw", {HAPPY: 600}), faces("kdef", {HAPPY: 600}))
    of = drawn(part)
    assert len(of[WILD]) / len(of[POSED]) == pytest.approx(1.5, abs=0.05)


def test_a_sample_is_the_epoch_in_the_order_of_the_sets() -> None:
    part = mixed(faces("fer2013", FER), faces("kdef", {HAPPY: 100, FEAR: 10}))
    sample = part.sample(1, own_votes=True)
    assert len(sample) == part.per_epoch and (np.diff(sample.owner) >= 0).all()
    of_kdef = sample.owner == 1
    np.testing.assert_array_equal(sample.votes[of_kdef].argmax(axis=1), sample.emotion[of_kdef])  # their own label
    assert (part.votes[part.owner == 1] == 0).all() and (part.sample(1).votes[of_kdef] == 0).all()


def test_sequences_are_spread_evenly() -> None:
    order = spread([np.arange(90), np.arange(100, 110)], np.random.default_rng(0))
    assert [value for value in order if value < 100] == list(range(90))
    assert ((np.flatnonzero(order >= 100) // 10) == np.arange(10)).all()


def test_large_sets_are_thinned_class_by_class(tmp_path: Path) -> None:
    samples = [
        LabelledPicture(f"{emotion}/{i}.jpg", tmp_path, emotion=emotion)
        for emotion in ("happy", "sad")
        for i in range(9)
    ]
    samples += [LabelledPicture(f"val/{i}.jpg", tmp_path, ("val",), emotion="sad") for i in range(20)]
    kept = thinned("affectnet", samples, MIX)
    assert [sum(sample.name.startswith(of) for sample in kept) for of in ("happy", "sad", "val")] == [5, 5, 20]
    assert kept == thinned("affectnet", samples, MIX) and {sample.room for sample in kept} == {0}
    assert thinned("fer2013", samples, MIX) == samples
    assert {sample.room for sample in thinned("folder", samples, MIX)} == {0.1}  # the face is looked for


def test_frames_of_a_clip_are_kept_together(tmp_path: Path) -> None:
    frames = [f"{i}.flv@{place}%" for i in range(8) for place in (35, 50, 65)]
    kept = thinned("crema_d", [LabelledPicture(name, tmp_path, emotion="sad") for name in frames], Mix(most=6))
    assert len({sample.name.partition("@")[0] for sample in kept}) == 2
