"""Makes the clips of the benchmarks."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.clips import portrait_clip, scene
from tests.odd_clips import animated_gif, remuxed, still, tiled_picture


def minute_720p(folder: Path) -> Path:
    """A minute of 1280x720 at 25 frames a second, H.264 with B-frames, one face that moves."""
    path = folder / "minute_720p.mp4"
    if not path.exists():
        portrait_clip(path, seconds=60, fps=25, size=(1280, 720), moving=True, gop=50, b_frames=2)
    return path


def small_clips(folder: Path) -> list[Path]:
    """Clips of two seconds with a face, one of each container, and a picture of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    size = (192, 144)
    codecs = {"webm": "libvpx-vp9", "avi": "mpeg4", "wmv": "wmv2", "mpg": "mpeg2video", "mov": "mjpeg"}
    made = []
    for ending in ("mp4", "mkv", "ts", "flv", "webm", "avi", "wmv", "mpg", "mov", "nut", "h264", "mjpeg"):
        codec = codecs.get(ending, "mjpeg" if ending == "mjpeg" else "libx264")
        pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        audio = 2.0 if ending in ("mp4", "mkv", "ts") else 0.0
        clip = portrait_clip(
            folder / f"x.{ending}",
            fps=25,
            size=size,
            gop=12,
            codec=codec,
            pix_fmt=pix_fmt,
            audio=audio,
            faststart=ending == "mp4",
        )
        made.append(clip.path)
    fragments: dict[str, Any] = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    made.append(remuxed(made[0], folder / "fragments.mp4", **fragments))
    made.append(animated_gif(folder / "x.gif", size=size).path)
    made += [
        still(folder / f"still.{ending}", size=size).path for ending in ("jpg", "png", "webp", "bmp", "tiff", "gif")
    ]
    made.append(tiled_picture(folder / "x.heic", scene(0.0, size=size)[0]))
    return made


def looped(source: Path, path: Path, times: int) -> Path:
    """Writes a video several times in a row without decoding it: the same packets with later time stamps."""
    with av.open(str(source)) as first, av.open(str(path), "w") as out:
        stream = first.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [
            (p.pts or 0, p.dts or 0, p.duration or 0, p.is_keyframe, bytes(p)) for p in first.demux(stream) if p.size
        ]
        base = stream.time_base or Fraction(1, 1000)
        length = max(pts + duration for pts, _, duration, _, _ in packets) - min(p[0] for p in packets)
        for i in range(times):
            for pts, dts, duration, is_keyframe, data in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = copy, base
                packet.pts, packet.dts, packet.duration = pts + i * length, dts + i * length, duration
                packet.is_keyframe = is_keyframe
                out.mux(packet)
    return path
