"""Write the tables of one video: faces, tracks, timeline, and last of all its row in `videos`."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from models.bundle import bundle_path
from models.cards import read_card
from schemas import storage
from schemas.config import Config
from schemas.errors import StorageError
from schemas.faces import FaceBatch
from schemas.layout import EMBEDDINGS
from schemas.run import Run
from schemas.step_times import StepTimes
from schemas.tables import parquet_bytes
from schemas.video import Note, Plan, Segment, WholeVideo
from transforms import metrics
from transforms.aggregate_seconds import aggregate_faces, aggregate_timeline, aggregate_tracks
from transforms.embeddings import FaceEmbeddings, embeddings_of, read_embeddings, remove_fragments
from transforms.failures import first_failure
from transforms.group_persons import embeddings_table, group_persons, numbered, with_persons
from transforms.ledger import Row, forget_row, new_row, read_row, remove_embeddings, write_row
from transforms.stitch_tracks import Observations, stitch_tracks
from transforms.write_fragment import Fragment, SegmentDone, fragment_of, read_fragment, write_fragment

_TRUNCATED_SECONDS = 1.0

_UNSEEN_SECONDS = 30.0
"""Seconds without a keyframe beyond which the row of a scanned video says so."""


@dataclasses.dataclass(frozen=True)
class VideoDone:
    """A video whose row stands in `videos`.

    Attributes:
      row: as it stands there.
    """

    row: Row


def assemble_video(plan: Plan, run: Run, *, keep_observations: bool = False) -> VideoDone:
    """Makes the rows of one video in the four tables from its fragments; the row in `videos` is written last.

    A worker may be killed when the row is there and its fragments are gone: a row of this run means that all is done.
    """
    video_id = plan.video_id or ""
    started = datetime.now(UTC)
    if row := _written_before(plan, run):
        storage.delete_tree(run.work.video(video_id))
        return VideoDone(row)
    if failure := first_failure(plan, run.work, run.run_id):
        if run.config.identity.persons == "within":
            remove_fragments(run.work, video_id)
        row = new_row(plan, run.as_seen(plan), started_at=started, status="failed", **failure)
        write_row(row, run)
        metrics.count(videos_failed=1)
        return VideoDone(row)
    folder, times = run.work.video(video_id), StepTimes()
    with times.step("write"):
        fragments = [read_fragment(folder, segment.index) for segment in plan.segments]
        embeddings = read_embeddings(run.work, video_id) if run.config.identity.persons else {}
        row, tables = make_tables(plan, fragments, run, started_at=started, embeddings=embeddings)
        _replace_tables(plan, tables, run)
        if keep_observations and tables:
            _keep_observations(video_id, run)
    _write_row_last(row, times, run)
    metrics.count(videos_done=1, face_rows=row.get("face_seconds", 0))
    metrics.count_times(times.seconds)
    return VideoDone(row)


def write_whole_video(batch: FaceBatch, run: Run, *, keep_observations: bool = False) -> Iterator[VideoDone]:
    """Makes the rows of a video that is one segment, straight from its faces.

    There is no fragment in between: until the row is there, a kill costs the segment, as it does with a fragment. Only
    a segment in parts, which may be hours long, or one whose fragment is to be kept, is written as a fragment first.

    Args:
      batch: of a `WholeVideo`, with all columns.
      run: what rows and footers say of the run.
      keep_observations: whether fragments move to `observations/` instead of going away.
    """
    assert isinstance(batch.segment, WholeVideo)
    plan = batch.segment.plan
    if batch.part or not batch.is_last or keep_observations:
        for _ in write_fragment(batch, run.config, run.work, run.run_id):
            yield assemble_video(plan, run, keep_observations=keep_observations)
        return
    started, times = datetime.now(UTC), StepTimes()
    with times.step("write"):
        row, tables = make_tables(plan, [fragment_of(batch)], run, started_at=started, embeddings=embeddings_of(batch))
        _replace_tables(plan, tables, run)
    _write_row_last(row, times, run)
    yield VideoDone(row)


def _replace_tables(plan: Plan, tables: Mapping[str, pa.Table], run: Run) -> None:
    """Writes the tables of a video in place of those of an earlier run, whose row goes first."""
    video_id = plan.video_id or ""
    forget_row(plan.file.uri, run)
    remove_embeddings(video_id, run)
    write_tables(video_id, tables, run.as_seen(plan))
    storage.delete_tree(run.layout.observations(video_id))


def _write_row_last(row: Row, times: StepTimes, run: Run) -> None:
    """Writes the row of a video whose tables are there, and removes its unfinished work."""
    row["figures"]["step_seconds"] |= {name: round(seconds, 6) for name, seconds in times.seconds.items()}
    write_row(row, run)
    storage.delete_tree(run.work.video(row["video_id"]))


def _written_before(plan: Plan, run: Run) -> Row | None:
    """The row of a video, if this run has written it from the video's fragments."""
    try:
        row = read_row(plan.file.uri, run)
    except (FileNotFoundError, StorageError):
        return None
    ours = row["run_id"] == run.run_id and row["video_id"] == plan.video_id
    return row if ours and row["status"] != "failed" else None


def write_tables(video_id: str, tables: Mapping[str, pa.Table], run: Run) -> None:
    """Writes the tables of one video, each in place of the one that was there."""
    for name, table in tables.items():
        storage.write_bytes(run.layout.table(name, video_id), parquet_bytes(table, run.footer))


def make_tables(
    plan: Plan,
    fragments: Sequence[Fragment],
    run: Run,
    *,
    started_at: datetime,
    embeddings: Mapping[int, FaceEmbeddings] | None = None,
) -> tuple[Row, dict[str, pa.Table]]:
    """The row of a video and its three tables; no tables where not one frame could be decoded.

    Args:
      plan: of the video.
      fragments: of all its segments.
      run: what rows and footers say of the run.
      started_at: when this began.
      embeddings: by segment, where the run asks for persons; if it keeps them, they are a fourth table.
    """
    run = run.as_seen(plan)
    config, video_id = run.config, plan.video_id or ""
    stats = [fragment.stats for fragment in fragments]
    vectors = np.zeros((0, 0), np.float32)
    if config.identity.persons:
        fragments, vectors = numbered(fragments, embeddings or {})
    observations = stitch_tracks(fragments, min_iou=config.aggregation.stitch_iou)
    own: Row = {
        "figures": _figures(observations, fragments),
        "wall_seconds": sum(fragment.wall_seconds for fragment in fragments),
        "peak_rss_mb": max((fragment.peak_rss_mb for fragment in fragments), default=0.0),
    }
    counts = {f"frames_{name}": sum(s[f"frames_{name}"] for s in stats) for name in ("decoded", "corrupt")}
    if not len(observations.timestamps):
        what = "keyframe" if plan.is_scan else "frame"
        error = f"{plan.file.uri} has a video stream and not one {what} that decodes."
        why = {"status": "corrupt", "error_type": "no_frames", "error_message": error}
        return new_row(plan, run, started_at=started_at, **why, **counts, **own), {}
    unknown_below = _unknown_below(config)
    truncated = _truncated(plan, stats)
    missing = _missing(plan.segments, stats, observations.timestamps)
    damaged = {second for s in stats for second in s["damaged_seconds"]}
    damaged |= {second for start, end in missing for second in range(int(start), math.ceil(end))}
    faces = aggregate_faces(observations, video_id, config, unknown_below)
    tracks = aggregate_tracks(observations, video_id, unknown_below)
    last = max(s["last_timestamp"] for s in stats if s["last_timestamp"] is not None)
    apart = np.diff(observations.timestamps, append=last)
    if plan.is_scan:
        plan = dataclasses.replace(plan, notes=(*plan.notes, *_note_on_keyframes(plan.file.uri, apart, last, config)))
    timeline = aggregate_timeline(
        observations,
        faces,
        video_id,
        last_timestamp=last,
        damaged_seconds=damaged,
        missing_until=plan.info.duration if truncated is not None and plan.info else None,
    )
    tables = {"faces": faces, "tracks": tracks, "timeline": timeline}
    if config.identity.persons:
        persons = group_persons(observations, vectors, config)
        own["n_persons"] = len(persons)
        tables["tracks"] = with_persons(tracks, persons)
        if config.identity.persons == "archive":
            tables[EMBEDDINGS] = embeddings_table(persons, video_id, config)
    figures = {
        **counts,
        **own,
        **_verdict(plan, stats, truncated, missing),
        "frames_sampled": len(observations.timestamps),
        "keyframe_seconds": float(np.median(apart[: max(len(apart) - 1, 1)])) if plan.is_scan else None,
        "n_tracks": len(tracks),
        "max_faces": _most_at_once(observations.columns["timestamp"]),
        "face_seconds": len(faces),
    }
    row = new_row(plan, run, started_at=started_at, **figures)
    return row, tables


def _note_on_keyframes(uri: str, apart: np.ndarray, last: float, config: Config) -> Iterator[Note]:
    """What is said of a scanned video whose keyframes leave long stretches unseen.

    Args:
      uri: of the file.
      apart: [n] seconds from each sample to the next, or to the last frame.
      last: second of the last frame.
      config: of the scan.
    """
    asked = 2 / config.sampling.sample_fps if config.sampling.sample_fps else 0.0
    if apart.max() > max(_UNSEEN_SECONDS, asked):
        sentence = (
            f"{uri}: keyframes that were looked at: {len(apart)} in {last:.1f} s, up to {apart.max():.1f} s apart."
        )
        yield Note("few_keyframes", sentence)


def _figures(observations: Observations, fragments: Sequence[Fragment]) -> dict[str, Any]:
    """What no column of `videos` says of the work; it stands in the footer of the row's file."""
    seconds: Counter[str] = Counter()
    for fragment in fragments:
        seconds.update(fragment.step_seconds)
    detections = int(np.count_nonzero(~np.isnan(observations.columns["confidence"])))
    return {"segments": len(fragments), "detections": detections, "step_seconds": dict(seconds)}


def _most_at_once(timestamps: np.ndarray) -> int:
    """Most faces in one sample, given the time of each face."""
    return int(np.unique(timestamps, return_counts=True)[1].max(initial=0))


def _verdict(plan: Plan, stats: Sequence[Row], truncated: float | None, missing: Sequence[tuple[float, float]]) -> Row:
    """The status of a file from which at least one frame was decoded, and what else is to be said of it."""
    uri, problem = plan.file.uri, None
    errors, damaged = sum(s["errors"] for s in stats), set().union(*(s["damaged_seconds"] for s in stats))
    if truncated is not None:
        stated = plan.stated_end if plan.stated_end is not None else plan.container_end
        of = f" of {stated:.1f} s" if stated is not None and stated > truncated else ""
        problem = Note("truncated", f"{uri} ends after {truncated:.1f} s{of}: it was cut off; copy it again.")
    elif plan.cut_off is not None:
        problem = Note("truncated", f"{uri} was cut off ({plan.cut_off}); copy it again.")
    elif plan.has_unread_streams:
        text = f"{uri} goes on with streams that its beginning does not show, and these were not read; split it there."
        problem = Note("unread_streams", text)
    elif plan.has_unread_file:
        text = f"{uri} has another file behind its end, as `cat` joins them, and that was not read; split it there."
        problem = Note("unread_file", text)
    elif errors:
        text = f"{uri}: places that are damaged and were passed over: {errors}; the rest was read."
        problem = Note("damaged", text)
    elif damaged:
        text = f"{uri}: seconds in which frames are damaged: {len(damaged)}; the rest was read."
        problem = Note("damaged", text)
    elif missing:
        start, end = missing[0]
        others = f", nor at {len(missing) - 1} places after that" if len(missing) > 1 else ""
        text = f"{uri} has nothing to decode from {start:.0f} to {end:.0f} s{others}; the rest was read."
        problem = Note("missing_stretch", text)
    said = [note for note in (problem, *plan.notes) if note is not None]
    if not said:
        return {"status": "ok"}
    message = " ".join(note.sentence for note in said)
    return {"status": "partial" if problem else "ok", "error_type": said[0].kind, "error_message": message}


def _missing(segments: Sequence[Segment], stats: Sequence[Row], timestamps: np.ndarray) -> list[tuple[float, float]]:
    """Start and end of segments from which not one frame could be read."""
    # A scan may find no picture that stands by itself, though all packets are there.
    unread = [s for s, found in zip(segments, stats, strict=True) if not (s.keyframes and found["packet_end"])]
    bounds = [(s.start, s.start + s.duration if s.end is None else s.end) for s in unread if s.duration > 0]
    return [(start, end) for start, end in bounds if not np.any((timestamps >= start) & (timestamps < end))]


def _truncated(plan: Plan, stats: Sequence[Row]) -> float | None:
    """Second at which a truncated video ends; None for a whole one.

    A video is truncated when it ends more than a second before the end that its stream states. Where only the container
    states an end, the last packet of any stream counts.
    """
    ends = [s["packet_end"] for s in stats if s["packet_end"] is not None]
    end = max(ends, default=None)
    if plan.stated_end is not None and end is not None:
        return end if plan.stated_end - end > _TRUNCATED_SECONDS else None
    if plan.container_end is not None and plan.end is not None:
        return plan.end if plan.container_end - plan.end > _TRUNCATED_SECONDS else None
    return None


def _unknown_below(config: Config) -> float:
    model = config.model("gender")
    return (model and read_card(bundle_path(model.name)).unknown_below) or 0.5


def _keep_observations(video_id: str, run: Run) -> None:
    """Copies the fragments. They are removed once the row stands, so a run that is killed before still finds them."""
    folder = run.layout.observations(video_id)
    for info in storage.list_files(run.work.video(video_id)):
        if info.uri.endswith(".parquet"):
            storage.write_bytes(storage.join(folder, info.uri.rsplit("/", 1)[-1]), storage.read_bytes(info.uri))


@dataclasses.dataclass(eq=False)
class AssembleVideo(beam.PTransform):
    """Plan → VideoDone, once its tables and then its row are written.

    Attributes:
      run: what rows and footers say of the run.
      keep_observations: whether fragments move to `observations/` instead of going away.
    """

    run: Run
    keep_observations: bool = False

    def expand(self, plans: beam.PCollection[Plan]) -> beam.PCollection[VideoDone]:
        return plans | beam.Map(assemble_video, self.run, keep_observations=self.keep_observations).with_output_types(
            VideoDone
        )


@dataclasses.dataclass(eq=False)
class FinishSegment(beam.PTransform):
    """FaceBatch with all its columns → SegmentDone, or VideoDone where the segment is all of its video.

    Attributes:
      run: what rows and footers say of the run.
      keep_observations: whether fragments move to `observations/` instead of going away.
    """

    run: Run
    keep_observations: bool = False

    def expand(self, batches: beam.PCollection[FaceBatch]) -> beam.PCollection[SegmentDone | VideoDone]:
        return batches | beam.FlatMap(_finish, self.run, self.keep_observations).with_output_types(
            SegmentDone | VideoDone
        )


def _finish(batch: FaceBatch, run: Run, keep_observations: bool) -> Iterator[SegmentDone | VideoDone]:
    if isinstance(batch.segment, WholeVideo):
        return write_whole_video(batch, run, keep_observations=keep_observations)
    return write_fragment(batch, run.config, run.work, run.run_id)
