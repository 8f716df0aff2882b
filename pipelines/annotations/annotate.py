"""Draw what the tables say of a video's faces on the video itself, or make these faces unrecognizable.

decode → draw → encode, frame by frame, in constant memory. Frames keep their time stamps and sound is copied.
"""

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import av
from av.audio.stream import AudioStream

from pipelines.annotations.drawing import Canvas, blur_face, label, outline
from pipelines.annotations.face_paths import FacePaths, ShownFace, read_paths, read_settings
from pipelines.annotations.frame_copy import fitted, upright_copy
from pipelines.annotations.sound import AudioChoice, How, choose_sound
from pipelines.annotations.video_reader import VideoReader
from pipelines.annotations.video_writer import VideoWriter, container_of
from pipelines.colours import EMOTION_COLOURS, UNKNOWN_COLOUR, Colour
from pipelines.results.videos import read_videos
from schemas import storage
from schemas.config import Config
from schemas.errors import MediaError, StorageError, UsageError
from transforms.ledger import HAS_TABLES
from transforms.media import is_still
from transforms.open_video import open_video
from transforms.probe_video import probe_video
from transforms.video_id import video_id

Draw = Callable[[av.VideoFrame, float, Fraction], av.VideoFrame]
"""Gives a frame to write, upright and in 8-bit 4:2:0, for one that was decoded, its second, and its pixel aspect."""

_COARSE = 1.5
"""Factor on the blurred margin around a face whose box is known only once a second."""


@dataclasses.dataclass(frozen=True)
class AnnotatedVideo:
    """A video that was written.

    Attributes:
      path: the file.
      frames: that it has.
      seconds: from the beginning of its first frame to the end of its last.
      n_tracks: number of tracks in the source.
      from_observations: whether there is a box for every sample; else there is one for each second.
      by_keyframes: whether only faces in keyframes are known.
      dropped: number of frames that were out of order and were left out, as in the analysis.
      damaged: number of places that did not decode and were skipped.
      blurred_faces: faces that were blurred, counted in each frame anew.
      blurred_frames: number of frames with such a face.
    """

    path: str
    frames: int
    seconds: float
    n_tracks: int
    from_observations: bool
    by_keyframes: bool
    dropped: int
    damaged: int
    blurred_faces: int
    blurred_frames: int


def annotate(
    video: str,
    out: str,
    target: str,
    *,
    blur: bool = False,
    labels: bool | None = None,
    start: float | None = None,
    end: float | None = None,
    audio: AudioChoice | bool = "copy",
    overwrite: bool = False,
    on_progress: Callable[[float, float | None], None] | None = None,
) -> AnnotatedVideo:
    """Writes a copy of a video with its faces marked, or blurred.

        annotate("holiday.mp4", "results", "holiday.faces.mp4")
        annotate("holiday.mp4", "results", "anonymous.mp4", blur=True, audio=False)

    Frames keep their times; the picture is stored upright, in 8-bit 4:2:0. Metadata of the file is not copied.

    Args:
      video: the file, wherever it lies and whatever it is called: it is known by its content.
      out: DIR of `facelog analyze`, on disk or on an object store.
      target: file to write, on disk; the ending (.mp4, .m4v, .mov, .mkv, .webm) says the container.
      blur: make faces unrecognizable. Faces that were not found are not blurred.
      labels: draw boxes and labels; default: unless `blur`.
      start: second of the video to begin with.
      end: second at which to end.
      audio: copy the sound (or True), encode it anew as "aac" or "opus" where it is none, or leave it out: "none" (or
        False).
      overwrite: whether `target` may be there.
      on_progress: called after each frame with the seconds that are done and the seconds in all (None if unknown).

    Raises:
      UsageError: a name or time is wrong, `out` does not know the video, or only its keyframes and it is to be blurred,
        or the container does not take its sound.
      MediaError: the video cannot be read.
      StorageError: something cannot be read or written.
    """
    video, out, target = (storage.normalize(name) for name in (video, out, target))
    _check_target(video, target, overwrite)
    _check_times(start, end)
    identity = _identify(video, out)
    config = read_settings(out, identity)
    if blur and config.sampling.keyframes:
        raise UsageError(
            f"{out} knows only the faces in keyframes of {video}, and those in between would stay as they are: "
            "run analyze without --keyframes first."
        )
    paths = read_paths(out, identity, config)
    draw = _Draw(paths, blur, not blur if labels is None else labels)
    if isinstance(audio, bool):
        audio = "copy" if audio else "none"
    reader = copy_video(video, target, config, draw.on, start=start, end=end, audio=audio, on_progress=on_progress)
    return AnnotatedVideo(
        path=target,
        frames=reader.frames,
        seconds=reader.last - reader.first,
        n_tracks=paths.n_tracks,
        from_observations=paths.from_observations,
        by_keyframes=config.sampling.keyframes,
        dropped=reader.dropped,
        damaged=reader.damaged,
        blurred_faces=draw.blurred_faces,
        blurred_frames=draw.blurred_frames,
    )


def copy_video(
    video: str,
    target: str,
    config: Config,
    draw: Draw,
    *,
    start: float | None = None,
    end: float | None = None,
    audio: AudioChoice = "copy",
    gop: int | None = None,
    on_progress: Callable[[float, float | None], None] | None = None,
) -> VideoReader:
    """Writes a video again, with something done to each of its frames.

    Args:
      video: the file, as `storage.normalize` gives it.
      target: file to write, on disk.
      config: that the video was analyzed with.
      draw: gives the frame to write for each frame.
      start: as for `annotate`.
      end: as for `annotate`.
      audio: copy the sound, encode it anew, or leave it out.
      gop: most frames from one keyframe to the next; None: the encoder decides.
      on_progress: as for `annotate`.

    Returns:
      What the video was read by; it says what was there and what was left out.

    Raises:
      UsageError, MediaError, StorageError: as `annotate`.
    """
    plan = probe_video(storage.stat(video), config)
    if plan.info is None:
        raise MediaError(plan.error_message or f"{video} cannot be read.")
    if start is not None and plan.info.duration is not None and start >= plan.info.duration:
        raise UsageError(f"{video} ends at {plan.info.duration:.1f} s; --from {start:g} lies behind it.")
    with open_video(video, config) as (container, stream):
        if is_still(container):
            raise UsageError(f"{video} is a picture: use `facelog image {shlex.quote(video)} --out .`")
        ways = choose_sound(video, config, target, container_of(target), audio)
        sound = {source: ways[source.index] for source in container.streams.audio if source.index in ways}
        reader = VideoReader(container, stream, list(sound), plan, start, end)
        _write(reader, draw, target, sound, gop, on_progress)
        if not reader.frames:
            raise UsageError(f"{video} has no frame in the time that was asked for.")
    return reader


def _check_target(video: str, target: str, overwrite: bool) -> None:
    if not storage.is_local(target):
        raise UsageError(f"{target}: videos are written to disk; give a local name and copy the file then.")
    container_of(target)
    if os.path.isdir(target):
        raise UsageError(f"{target} is a folder: give the name of a file.")
    if storage.is_local(video) and os.path.exists(video) and os.path.exists(target) and os.path.samefile(video, target):
        raise UsageError(f"{target} is the video itself, which facelog never changes: give another name.")
    if os.path.lexists(target) and not overwrite:
        raise UsageError(f"{target} is there already: give another name, or --overwrite.")


def _check_times(start: float | None, end: float | None) -> None:
    if (start is not None and start < 0) or (end is not None and end <= (start or 0)):
        raise UsageError("--from and --to are times of the video, and the second lies behind the first.")


def _identify(video: str, out: str) -> str:
    """The video's id, if DIR has tables of it.

    Raises:
      UsageError: the video is not there, or DIR does not know it, or knows that it could not be read.
    """
    try:
        size = storage.stat(video).size_bytes or 0
        with storage.open_input(video) as file, storage.plain_errors(video):
            identity = video_id(file, size)
    except FileNotFoundError:
        raise UsageError(f"{video}: no such file.") from None
    except StorageError as error:
        if storage.is_folder(video):
            raise UsageError(f"{video} is a folder: give one video.") from error
        raise
    ours = [row for row in read_videos(out) if row["video_id"] == identity]
    if any(row["status"] in HAS_TABLES for row in ours):
        return identity
    if ours:
        raise UsageError(f"{out} has no faces of {video}: {ours[0]['error_message'] or ours[0]['status']}")
    raise UsageError(
        f"{out} does not know {video} (nor its content under another name): "
        f"run `facelog analyze {shlex.quote(video)} --out {shlex.quote(out)} --keep-observations` first."
    )


def _write(
    reader: VideoReader,
    draw: Draw,
    path: str,
    sound: Mapping[AudioStream, How],
    gop: int | None,
    on_progress: Callable[[float, float | None], None] | None,
) -> None:
    """Draws on every frame of the reader and encodes it, with its sound."""
    writer: VideoWriter | None = None
    size, shape = (0, 0), Fraction(1)
    with contextlib.ExitStack() as stack:
        for item in reader.read():
            if isinstance(item, av.Packet):
                assert writer is not None
                writer.write_sound(item)
                continue
            picture, timestamp, pts = item
            pixel_aspect = reader.pixel_aspect(picture)
            frame = draw(picture, timestamp, pixel_aspect)
            if writer is None:
                size, shape = (frame.width, frame.height), pixel_aspect
                writer = VideoWriter(
                    path,
                    reader.stream,
                    sound,
                    frame,
                    pixel_aspect=pixel_aspect,
                    time_base=reader.written_time_base,
                    bit_rate=reader.bit_rate,
                    gop=gop,
                )
                stack.enter_context(writer)
            if (frame.width, frame.height) != size or pixel_aspect != shape:
                frame = fitted(frame, size, float(pixel_aspect / shape))
            frame.pts, frame.time_base, frame.duration = pts, reader.time_base, picture.duration
            writer.write_frame(frame)
            if on_progress is not None:
                on_progress(timestamp - reader.first, reader.seconds)


@dataclasses.dataclass
class _Draw:
    """What is drawn on each frame, and how many faces were blurred so far."""

    paths: FacePaths
    blur: bool
    labels: bool
    blurred_faces: int = 0
    blurred_frames: int = 0

    def on(self, picture: av.VideoFrame, timestamp: float, pixel_aspect: Fraction) -> av.VideoFrame:
        """An upright copy of a frame with the faces of its time drawn upon."""
        frame, canvas = upright_copy(picture, float(pixel_aspect))
        if self.blur:
            grow = 1.0 if self.paths.from_observations else _COARSE
            faces = list(self.paths.around(timestamp))
            for face in faces:
                blur_face(canvas, face.box, grow=grow)
            self.blurred_faces += len(faces)
            self.blurred_frames += bool(faces)
        if self.labels:
            draw_faces(canvas, list(self.paths.at(timestamp)))
        return frame


def draw_faces(canvas: Canvas, faces: Sequence[ShownFace]) -> None:
    """Boxes and labels; a label keeps off faces and other labels, and large faces come first."""
    for face in faces:
        outline(canvas, face.box, _colour(face), weak=face.caption.weak)
    labels: list[tuple[int, int, int, int]] = []
    for face in sorted(faces, key=lambda face: -face.box[2] * face.box[3]):
        others = [other.box for other in faces if other is not face]
        labels.append(label(canvas, face.box, face.caption.texts, _colour(face), [*others, *labels]))


def _colour(face: ShownFace) -> Colour:
    return EMOTION_COLOURS.get(face.caption.emotion or "", UNKNOWN_COLOUR)
