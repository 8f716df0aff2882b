"""What a container leaves out of its picture."""

import io
import struct
from pathlib import Path

import pytest

from schemas import storage
from schemas.config import Config
from tests.clips import portrait_clip
from transforms.container_crop import Crop, apertures, video_crops
from transforms.iso_boxes import find_boxes
from transforms.probe_video import probe_video


def element(kind: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return kind.to_bytes((kind.bit_length() + 7) // 8) + (len(data) | 1 << 28).to_bytes(4) + data


def test_each_video_track_has_its_own():
    plain = element(0xAE, element(0x83, b"\x01"), element(0xE0, element(0xB0, b"\x20")))
    sound = element(0xAE, element(0x83, b"\x02"))
    cropped = element(0xAE, element(0x83, b"\x01"), element(0xE0, element(0x54CC, b"\x30"), element(0x54DD, b"\x08")))
    segment = element(0x18538067, element(0x114D9B74), element(0x1654AE6B, plain, sound, cropped))
    head = element(0x1A45DFA3, b"\x00" * 20) + segment
    assert video_crops(head) == [Crop(), Crop(left=48, right=8)]
    for end in range(len(head)):
        video_crops(head[:end])  # cut anywhere, it breaks nothing


def with_aperture(path: Path, width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """An mp4 file whose only track shows this part of its picture, its centre moved."""
    data = path.read_bytes()
    size, ways = len(data), (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    holders = [next(find_boxes(io.BytesIO(data), ways[:depth], 0, size)) for depth in range(1, len(ways) + 1)]
    description, _ = holders[-1]
    holders.append((description + 16, description + 8 + int.from_bytes(data[description + 8 : description + 12])))
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, right, 1, down, 1)
    new = bytearray(data)
    for content, end in holders:
        new[content - 8 : content - 4] = (end - content + 8 + len(box)).to_bytes(4)
    return bytes(new[: holders[-1][1]] + box + new[holders[-1][1] :])


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return portrait_clip(tmp_path_factory.mktemp("clap") / "x.mp4", seconds=1, fps=5, size=(160, 120)).path


class TestCleanAperture:
    def test_the_file_says_it(self, clip, tmp_path):
        path = tmp_path / "x.mp4"
        path.write_bytes(with_aperture(clip, 120, 100, right=-10))
        plan = probe_video(storage.stat(str(path)), Config())
        (note,) = (note for note in plan.notes if note.kind == "container_crop")
        assert "shows 120x100 of 160x120 pixels, from 10, 10 on" in note.sentence
        assert not any(note.kind == "container_crop" for note in probe_video(storage.stat(str(clip)), Config()).notes)

    def test_each_side(self, clip):
        data = with_aperture(clip, 100, 80, right=20, down=-10)
        assert apertures(io.BytesIO(data), len(data)) == [Crop(left=50, top=10, right=10, bottom=30)]

    @pytest.mark.parametrize("size", [(0, 0), (200, 80), (2**32 - 1, 2**32 - 1)])
    def test_one_that_makes_no_sense_is_none(self, clip, size):
        data = with_aperture(clip, *size)
        assert apertures(io.BytesIO(data), len(data))[0] in (Crop(), Crop(80, 60, 80, 60))

    def test_cut_anywhere_it_breaks_nothing(self, clip):
        data = with_aperture(clip, 120, 100)
        moov = data.rindex(b"moov")
        for end in range(moov, len(data), 7):
            apertures(io.BytesIO(data[:end]), end)
