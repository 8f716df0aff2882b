"""What a Matroska file leaves out of its picture."""

from transforms.container_crop import Crop, video_crops


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
