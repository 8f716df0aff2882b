"""The sets of faces from the web and from film stills; their layouts are made on the spot."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.datasets import DataError, LabelledPicture, detect_kind, read_dataset

Draw = Callable[..., None]
Table = Callable[[str, Sequence[str]], Path]


def read(path: Path, kind: str) -> tuple[dict[str, LabelledPicture], Counter[str]]:
    assert detect_kind(path) == kind
    dropped: Counter[str] = Counter()
    return {sample.name: sample for sample in read_dataset(path).samples(dropped)}, dropped


def annotate(root: Path, name: str, value: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(value))


def test_affectnet_with_annotations(tmp_path: Path, draw: Draw) -> None:
    expressions = {"train_set": ["0", "1", 2, 3, "4", "5", "6", "7"], "val_set": [8, "3"]}
    for part, values in expressions.items():
        for i, value in enumerate(values):
            draw(f"{part}/images/{i}.jpg")
            annotate(tmp_path, f"{part}/annotations/{i}_exp.npy", value)
            annotate(tmp_path, f"{part}/annotations/{i}_val.npy", "0.5")
    annotate(tmp_path, "val_set/annotations/9_exp.npy", "1")
    samples, dropped = read(tmp_path, "affectnet")
    assert [samples[f"train_set/images/{i}.jpg"].emotion for i in range(7)] == [
        *("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
    ]
    assert dropped == {
        "contempt is none of the seven emotions": 1,
        "none is none of the seven emotions": 1,
        "the picture is missing": 1,
    }
    assert {sample.splits for sample in samples.values()} == {("train",), ("val",)}
    assert {sample.name for sample in samples.values() if sample.splits == ("val",)} == {"val_set/images/1.jpg"}
    assert {sample.splits for sample in read_dataset(tmp_path / "train_set").samples()} == {("train",)}
    annotate(tmp_path, "val_set/annotations/9_exp.npy", "11")
    with pytest.raises(DataError, match="9_exp.npy: the expression is '11', expected a number from 0 to 10"):
        list(read_dataset(tmp_path).samples())


HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def test_affectnet_with_tables(tmp_path: Path, table: Table) -> None:
    for name in ("689/a.jpg", "689/b.JPG", "738/c.jpg"):
        path = tmp_path / "Manually_Annotated_Images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.zeros((60, 80), np.uint8)
        image[20:40, 30:50] = 200
        cv2.imwrite(str(path), image)
    (tmp_path / "Manually_Annotated_file_lists").mkdir()
    rows = ["689/a.jpg,30,20,20,20,1;2;3,6,-0.5,0.4", "689/b.JPG,0,0,20,20,1;2,7,0,0", "9/no.jpg,0,0,20,20,1;2,1,0,0"]
    table("Manually_Annotated_file_lists/training.csv", [HEADER, *rows])
    table("Manually_Annotated_file_lists/validation.csv", ["738/c.jpg,30,20,20,16,1;2,4,-0.5,0.4"])
    samples, dropped = read(tmp_path, "affectnet")
    assert [(s.name.rsplit("/", 1)[-1], s.emotion, s.splits) for s in samples.values()] == [
        ("a.jpg", "angry", ("train",)),
        ("c.jpg", "fear", ("val",)),
    ]
    assert dropped == {"contempt is none of the seven emotions": 1, "the picture is missing": 1}
    face = next(iter(samples.values())).picture(grey=True)
    assert face.shape == (40, 40) and (face[12:28, 12:28] > 190).all() and (face[:8] < 10).all()


def test_numbered_folders_in_one_with_its_name(tmp_path: Path, draw: Draw) -> None:
    for name in ("train/1/a.jpg", "train/7/b.jpg", "val/6/c.jpg"):
        draw(f"AffectNet/{name}")
    samples, dropped = read(tmp_path / "AffectNet", "affectnet")
    assert [(s.emotion, s.splits) for s in samples.values()] == [("happy", ("train",)), ("angry", ("val",))]
    assert dropped == {"contempt is none of the seven emotions": 1}
    (tmp_path / "AffectNet").rename(tmp_path / "ages")
    assert detect_kind(tmp_path / "ages") == "age_folder"


def test_a_box_at_the_edge_repeats_the_nearest_pixel() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    face = LabelledPicture("a", image, room=0.5, box=(0, 0, 4, 4)).picture(grey=True)
    assert face.shape == (8, 8) and (face[:3, :3] == 0).all()
    np.testing.assert_array_equal(face[2:, 2:], image[:6, :6])


def test_another_training_csv_is_not_affectnet(tmp_path: Path, draw: Draw, table: Table) -> None:
    draw("happy/1.png")
    table("training.csv", ["left_eye_x,left_eye_y", "1,2"])
    assert detect_kind(tmp_path) == "folder"


def test_rafdb(tmp_path: Path, draw: Draw) -> None:
    lines = [f"train_{i:05d}.jpg {i}" for i in range(1, 8)] + ["test_0001.jpg 4", "test_0002.jpg 4"]
    for line in lines[:-1]:
        name = line.split(".")[0]
        draw(f"Image/aligned/{name}_aligned.jpg")
        draw(f"Image/original/{name}.jpg")
    (tmp_path / "EmoLabel").mkdir()
    listed = tmp_path / "EmoLabel" / "list_patition_label.txt"
    listed.write_text("\n".join(lines) + "\n")
    samples, dropped = read(tmp_path, "rafdb")
    assert [samples[f"Image/aligned/train_{i:05d}_aligned.jpg"].emotion for i in range(1, 8)] == [
        *("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    ]
    assert len(samples) == 8 and dropped == {"the picture is missing": 1}
    assert samples["Image/aligned/test_0001_aligned.jpg"].splits == ("test",)
    listed.write_text("train_00001.jpg 8\n")
    with pytest.raises(DataError, match=r"list_patition_label.txt row 1: 'train_00001.jpg 8', expected such as"):
        list(read_dataset(tmp_path).samples())


def test_rafdb_without_the_aligned_faces(tmp_path: Path, draw: Draw) -> None:
    for name in ("train_00001", "train_00002"):
        draw(f"Image/original/{name}.jpg")
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text("train_00001.jpg 5\ntrain_00002.jpg 1\n")
    (tmp_path / "Annotation").mkdir()
    (tmp_path / "Annotation" / "train_00001_boundingbox.txt").write_text("1.0 2.0 5.0 6.5 \n")
    samples, _ = read(tmp_path, "rafdb")
    assert [(s.box, s.room) for s in samples.values()] == [((1, 2, 4, 4.5), 0.5), (None, None)]


def test_rafdb_in_folders_of_numbers(tmp_path: Path, draw: Draw) -> None:
    for name in ("train/6/train_00001_aligned.jpg", "test/2/test_0001_aligned.jpg"):
        draw(f"DATASET/{name}")
    samples, _ = read(tmp_path, "rafdb")
    assert [(s.emotion, s.splits) for s in samples.values()] == [("fear", ("test",)), ("angry", ("train",))]


def test_expw(tmp_path: Path, draw: Draw) -> None:
    for name in ("angry_actor_104.jpg", "crowd_7.jpg"):
        draw(f"image/origin/{name}")
    (tmp_path / "label").mkdir()
    listed = tmp_path / "label" / "label.lst"
    lines = [
        "angry_actor_104.jpg 0 28 113 226 141 22.9362 0",
        "crowd_7.jpg 0 10 20 40 60 60.5 3",
        "crowd_7.jpg 1 12 80 12 99 60.5 6",
        "gone.jpg 0 10 20 40 60 60.5 3",
    ]
    listed.write_text("\n".join(lines))
    samples, dropped = read(tmp_path, "expw")
    assert [(s.name, s.emotion, s.group) for s in samples.values()] == [
        ("image/origin/angry_actor_104.jpg:0", "angry", "expw/angry_actor_104.jpg"),
        ("image/origin/crowd_7.jpg:0", "happy", "expw/crowd_7.jpg"),
    ]
    box = samples["image/origin/angry_actor_104.jpg:0"].box
    assert box is not None and [*box] == [113, 28, 113, 113]
    assert dropped == {"the face has no size": 1, "the picture is missing": 1}
    listed.write_text("crowd_7.jpg 0 10 20 40 60 60.5 7\n")
    with pytest.raises(DataError, match="label.lst row 1: 'crowd_7.jpg 0 10 20 40 60 60.5 7', expected such as"):
        list(read_dataset(tmp_path).samples())


def test_sfew(tmp_path: Path, draw: Draw) -> None:
    for name in ("Train/Angry/AlexEmma_000437240_00000033.png", "Val/Fear/Hangover_001_000437240_00000011.png"):
        draw(name)
    samples, _ = read(tmp_path, "sfew")
    assert [(s.emotion, s.splits, s.group, s.room) for s in samples.values()] == [
        ("angry", ("train",), "sfew/AlexEmma", None),
        ("fear", ("val",), "sfew/Hangover_001", None),
    ]
    draw("Train_Aligned_Faces/Angry/AlexEmma_000437240_00000033.png")
    (sample,) = read(tmp_path, "sfew")[0].values()
    assert sample.name.startswith("Train_Aligned_Faces/") and sample.splits == ("train",) and sample.room
