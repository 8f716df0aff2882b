"""The sets of performers whose labels are in file names and tables; their layouts are made on the spot."""

import struct
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from schemas.tables import EMOTIONS
from training.datasets import DataError, LabelledPicture, detect_kind, read_dataset

Draw = Callable[..., None]
Table = Callable[[str, Sequence[str]], Path]


def read(path: Path, kind: str) -> tuple[dict[str, LabelledPicture], Counter[str]]:
    assert detect_kind(path) == kind
    dropped: Counter[str] = Counter()
    samples = {sample.name: sample for sample in read_dataset(path).samples(dropped)}
    assert all(sample.room is None for sample in samples.values())
    return samples, dropped


def labels(samples: dict[str, LabelledPicture]) -> dict[str, tuple[str | None, str | None]]:
    return {name: (sample.emotion, sample.group) for name, sample in samples.items()}


def test_kdef(tmp_path: Path, draw: Draw) -> None:
    emotions = dict(zip(("AF", "AN", "DI", "HA", "NE", "SA", "SU"), range(7), strict=True))
    for folder in ("AF01", "BF01", "AM31"):
        for code in emotions:
            draw(f"KDEF/{folder}/{folder}{code}S.JPG")
    for name in ("AF01/AF01ANFL.JPG", "AF31/AF31V.JPG", "AM31/AM31H.JPG"):
        draw(f"KDEF/{name}")
    samples, dropped = read(tmp_path, "kdef")
    assert dropped == {"the name does not tell the emotion": 2} and len(samples) == 22
    assert [samples[f"AF01/AF01{code}S.JPG"].emotion for code in emotions] == [
        *("fear", "angry", "disgust", "happy", "neutral", "sad", "surprise")
    ]
    assert {sample.group for sample in samples.values()} == {"kdef/F01", "kdef/M31"}  # both sessions are one person
    assert samples["AM31/AM31HAS.JPG"].female is False and samples["BF01/BF01HAS.JPG"].female is True
    with pytest.raises(DataError, match=r"no pictures such as Rafd090_01"):
        read_dataset(tmp_path, "rafd")


def test_people_stay_together_whatever_the_folders(tmp_path: Path, draw: Draw) -> None:
    for name in ("train/angry/AF01ANS.JPG", "test/happy/AF01HAS.JPG"):
        draw(name)
    samples, _ = read(tmp_path, "kdef")
    assert {(sample.group, sample.splits) for sample in samples.values()} == {("kdef/F01", ())}


def test_rafd(tmp_path: Path, draw: Draw) -> None:
    for name in (
        "Rafd090_01_Caucasian_female_angry_frontal.jpg",
        "Rafd045_28_Moroccan_male_surprised_left.jpg",
        "Rafd000_28_Moroccan_male_contemptuous_right.jpg",
    ):
        draw(name)
    samples, dropped = read(tmp_path, "rafd")
    assert labels(samples) == {
        "Rafd045_28_Moroccan_male_surprised_left.jpg": ("surprise", "rafd/28"),
        "Rafd090_01_Caucasian_female_angry_frontal.jpg": ("angry", "rafd/01"),
    }
    assert dropped == {"contemptuous is none of the seven emotions": 1}


def test_faces(tmp_path: Path, draw: Draw) -> None:
    for name in ("004_o_m_a_a.jpg", "066_y_f_d_b.jpg", "140_m_f_s_a.jpg"):
        draw(name)
    samples, _ = read(tmp_path, "faces")
    assert [(s.emotion, s.group, s.age, s.female) for s in samples.values()] == [
        ("angry", "faces/004", (69, 80), False),
        ("disgust", "faces/066", (19, 31), True),
        ("sad", "faces/140", (39, 55), True),
    ]


def test_jaffe(tmp_path: Path, draw: Draw) -> None:
    for name in ("KA.AN1.39.tiff", "KA.FE2.46.tiff", "YM.SU3.60.tiff"):
        draw(f"jaffe/{name}")
    samples, _ = read(tmp_path, "jaffe")
    assert labels(samples) == {
        "KA.AN1.39.tiff": ("angry", "jaffe/KA"),
        "KA.FE2.46.tiff": ("fear", "jaffe/KA"),
        "YM.SU3.60.tiff": ("surprise", "jaffe/YM"),
    }


def label_file(root: Path, sequence: str, frame: int, text: str) -> None:
    person, number = sequence.split("_")
    path = root / "Emotion" / person / number / f"{sequence}_{frame:08d}_emotion.txt"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_ck_plus(tmp_path: Path, draw: Draw) -> None:
    frames = {"S005_001": 6, "S010_002": 3, "S010_003": 5, "S011_001": 4}
    for sequence, count in frames.items():
        person, number = sequence.split("_")
        for frame in range(1, count + 1):
            draw(f"cohn-kanade-images/{person}/{number}/{sequence}_{frame:08d}.png", frame)
    label_file(tmp_path, "S005_001", 6, "   3.0000000e+00\n")
    label_file(tmp_path, "S010_002", 3, "7")
    label_file(tmp_path, "S010_003", 5, "   2.0000000e+00")
    samples, dropped = read(tmp_path, "ck_plus")
    found = [(s.name.rsplit("/", 1)[-1][:-4], s.emotion, s.group) for s in samples.values()]
    assert found == [
        ("S005_001_00000001", "neutral", "ck_plus/S005"),
        *((f"S005_001_0000000{frame}", "disgust", "ck_plus/S005") for frame in (4, 5, 6)),
        ("S010_002_00000001", "neutral", "ck_plus/S010"),
        *((f"S010_002_0000000{frame}", "surprise", "ck_plus/S010") for frame in (2, 3)),
        ("S010_003_00000001", "neutral", "ck_plus/S010"),
    ]
    assert dropped == {
        "between the neutral face and the expression": 2 + 1,
        "contempt is none of the seven emotions": 3,
        "the sequence has no label": 4,
    }
    label_file(tmp_path, "S011_001", 4, "8")
    with pytest.raises(DataError, match="S011_001_00000004_emotion.txt: '8', expected a number from 0 to 7"):
        list(read_dataset(tmp_path).samples())


INFO = [
    "Image_Info of the collection,,,,,,,,,,,",
    "file_name,Self_evaluate,Observer_Count,maxIntCategory,maxInt,EntropyVal,counterMax,,,,,,entropyVal",
    "0101a02.tif,3,60,2,1.2,1.9,0.1,0.5,0.1,0.1,0.1,0.1,0.3",
    "0221c08.tif,3,60,2,5.2,0.9,0,0.75,0.05,0.1,0.05,0.05,0.3",
]


def test_performers_with_the_raters_shares(tmp_path: Path, draw: Draw, table: Table) -> None:
    for name in ("0101a02.jpg", "0221c08.jpg", "0221g01.jpg"):
        draw(f"faces_256x256/{name}")
    table("Image_info.csv", INFO)
    samples, _ = read(tmp_path, "taiwanese")
    assert labels(samples) == {
        "faces_256x256/0101a02.jpg": ("neutral", "taiwanese/01"),
        "faces_256x256/0221c08.jpg": ("sad", "taiwanese/02"),
        "faces_256x256/0221g01.jpg": ("surprise", "taiwanese/02"),
    }
    votes = samples["faces_256x256/0221c08.jpg"].votes
    assert votes is not None and votes[EMOTIONS.index("sad")] == np.float32(0.75)
    assert [sample.name for sample in samples.values() if sample.votes is None] == [
        "faces_256x256/0101a02.jpg",  # raters could not say that it is calm
        "faces_256x256/0221g01.jpg",
    ]
    table("voting.csv", ["name,happy,sad,angry,disgust,fear,surprise,peace", "0101a02,0,20,0,0,0,0,80"])
    calm = read(tmp_path, "taiwanese")[0]["faces_256x256/0101a02.jpg"].votes
    assert calm is not None and calm[EMOTIONS.index("neutral")] == np.float32(0.8)
    table("voting.csv", ["0101a02,0,20,0,0,0,0,80"])
    with pytest.raises(DataError, match="voting.csv has no row that begins with file_name"):
        read(tmp_path, "taiwanese")


def excel(rows: Sequence[Sequence[str | float]]) -> bytes:
    """A sheet in the binary form of Excel 2.1."""
    records = [(0x0009, struct.pack("<HH", 2, 0x10))]
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            place = struct.pack("<HH3s", i, j, b"\0\0\0")
            if isinstance(cell, str):
                records.append((0x0004, place + struct.pack("<B", len(cell)) + cell.encode()))
            else:
                records.append((0x0003, place + struct.pack("<d", cell)))
    return b"".join(struct.pack("<HH", kind, len(body)) + body for kind, body in [*records, (0x000A, b"")])


def test_the_performers_table_as_excel_wrote_it(tmp_path: Path, draw: Draw) -> None:
    draw("0221c08.jpg")
    rows = [[float(cell) if cell.replace(".", "", 1).isdigit() else cell for cell in line.split(",")] for line in INFO]
    (tmp_path / "Image_info.xls").write_bytes(excel(rows))
    votes = read(tmp_path, "taiwanese")[0]["0221c08.jpg"].votes
    assert votes is not None and votes[EMOTIONS.index("sad")] == np.float32(0.75)
    (tmp_path / "Image_info.xls").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"Image_info.xls cannot be read .*; save it as csv"):
        read_dataset(tmp_path)
