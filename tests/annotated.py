"""Clips with faces in their tables, and annotated videos read back."""

import dataclasses
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipelines.annotations.annotate import AnnotatedVideo, annotate
from pipelines.colours import EMOTION_COLOURS
from schemas import storage
from schemas.config import Config
from schemas.faces import SegmentLog
from schemas.layout import Layout
from schemas.run import Run
from schemas.video import DecodeStats
from tests.clips import Clip
from tests.examples import example_batch, example_track, join_tracks
from transforms.probe_video import probe_video
from transforms.write_fragment import write_fragment
from transforms.write_tables import assemble_video

CONFIG = Config()


def write_results(
    clip: Path,
    out: Path,
    *tracks: dict[str, np.ndarray],
    keep: bool = True,
    ended: dict[int, str] | None = None,
    config: Config = CONFIG,
) -> str:
    """The tables of a clip with these tracks, as the pipeline's own last steps write them; its id."""
    run = Run("run-1", config, Layout(str(out)))
    plan = probe_video(storage.stat(str(clip)), config)
    assert plan.info is not None and plan.video_id is not None
    end = plan.info.duration or 0.0
    times = np.arange(0, end, 0.25)
    stats = DecodeStats(len(times), 0, 0, set(), times[-1] if len(times) else 0.0, end)
    log = SegmentLog(times.tolist() or [0.0], [False] * max(len(times), 1), ended or {}, stats)
    for segment in plan.segments:
        list(write_fragment(example_batch(segment, join_tracks(*tracks), log=log), config, run.work, "run-1"))
    assemble_video(plan, run, keep_observations=keep)
    return plan.video_id


def track(
    number: int, start: float, end: float, *, x: Any = 110.0, y: float = 75.0, side: float = 90.0, **more: Any
) -> dict[str, np.ndarray]:
    """A face from one second to another, at four samples a second; by default where `tests.clips` has it."""
    times = np.arange(start, end + 1e-6, 0.25)
    features = {"width": side, "height": side, "y": y, "face_px": side} | more
    return example_track(number, times, x=x, **features)


@dataclasses.dataclass
class Film:
    """A video, read back."""

    times: list[float]
    frames: list[np.ndarray]
    sound: list[tuple[float, int]]
    stream: dict[str, Any]
    duration: float


def read(path: Path) -> Film:
    """Times and RGB frames, and the packets of sound as time and checksum."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        sound, frames = [], list[av.VideoFrame]()
        for packet in container.demux():
            if packet.stream is stream:
                frames += stream.decode(packet)
            elif packet.size:
                sound.append((float((packet.pts or 0) * (packet.time_base or 0)), hash(bytes(packet))))
        context = stream.codec_context
        return Film(
            [float(frame.time or 0) for frame in frames],
            [frame.to_ndarray(format="rgb24") for frame in frames],
            sound,
            {
                **{"codec": context.name, "pix_fmt": context.pix_fmt, "range": context.color_range},
                **{"space": context.colorspace, "sar": stream.sample_aspect_ratio},
                **{"size": (stream.width, stream.height)},
            },
            float((container.duration or 0) / av.time_base),
        )


def has_colour(frame: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels of about this colour."""
    return int((np.abs(frame.astype(int) - colour).max(axis=-1) < 40).sum())


def happy(frame: np.ndarray) -> int:
    return has_colour(frame, EMOTION_COLOURS["happy"])


def write(clip: Clip | Path, out: Path, target: Path, **options: Any) -> tuple[AnnotatedVideo, Film]:
    path = clip.path if isinstance(clip, Clip) else clip
    return annotate(str(path), str(out), str(target), **options), read(target)
