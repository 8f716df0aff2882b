"""prepare: cut the pictures of a data set into chips, as the pipeline does, and write Parquet shards.

Pictures → shards of 1,000 → chips → files. Shards are processed in parallel. A run that was stopped continues with the
shards that are missing, and a second run does nothing. Pictures without a chip are left out; the report counts them by
reason.
"""

import dataclasses
import functools
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from models.bundle import bundle_path
from models.cards import read_card
from models.detectors.choose import detector_card
from models.geometry import Geometry
from models.landmarks import landmark_sha256
from models.zoo import ZOO
from pipelines.datasets.cut_shards import CutShards, Shard, forget_notes
from pipelines.words import clock
from runners.devices import worker_count
from runners.direct import run_direct
from runners.local.one_thread import init_worker
from runners.local.supervisor import Outcome, Task, run_local
from runners.lock import hold
from runners.options import parse_runner
from schemas.config import Detection
from schemas.errors import BundleError, FacelogError, UsageError
from schemas.iteration import chunks
from training.data.own_face import MIN_FACE
from training.data.shards import (
    PreparedInfo,
    ShardDone,
    check_settings,
    read_info,
    read_shard_done,
    samples_digest,
    shard_path,
    write_info,
)
from training.datasets import DataSet, LabelledPicture, read_dataset
from training.datasets.duplicates import with_groups

_LOG = logging.getLogger(__name__)

SHARD_SIZE = 1000

_CLOSE_CROPS = ("fer2013", "utkface", "fairface")
_HAS_DUPLICATES = ("utkface",)

# Each failed attempt at a shard leaves out one picture, the one at which the process ended.
_ATTEMPTS = 10
_SHARD_SECONDS = 120.0
_PICTURE_SECONDS = 2.0


def shards_of(samples: Iterable[LabelledPicture], size: int) -> Iterator[Shard]:
    """The samples in shards of `size`; the last shard may be smaller."""
    return (Shard(index, tuple(some)) for index, some in enumerate(chunks(samples, size)))


def prepare(
    path: str | Path,
    out: str | Path,
    *,
    kind: str | None = None,
    faces: str = "original",
    geometry: str = "age-gender",
    margin: float = 0.125,
    split: str | None = None,
    whole_picture: bool | None = None,
    detector: str | None = None,
    min_face: int = MIN_FACE,
    runner: str = "local",
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    console: Console | None = None,
) -> PreparedInfo:
    """Cut a data set's faces into chips for `training.data.prepared.open_prepared`.

    The same call continues a run that was stopped, and does nothing after a finished run.

    Args:
      path: the data set's folder, zip or table.
      out: folder for the shards, on disk; created if needed.
      kind: one of `training.datasets.KINDS`; None: recognize it by its files.
      faces: for All-Age-Faces, "original" images or "aligned" faces.
      geometry: name or path of a bundle, or name of a network of the zoo, whose kind of chips is cut.
      margin: margin on each side as a share of the chip, so that random shifts in training find pixels there.
      split: take only this split.
      whole_picture: whether one face fills each picture, so that nothing is detected. None: True for FER2013, UTKFace,
        FairFace and the aligned faces of All-Age-Faces.
      detector: what searches for faces; default: the detector of `analyze`.
      min_face: side in pixels of the smallest face to search for.
      runner: `local` (worker processes) or `direct` (Beam's in-process runner).
      workers: processes of the local runner; default: one per core.
      shard_size: pictures per shard.
      console: console for a progress bar, shown if it is a terminal.

    Returns:
      The new content of `out/prepared.json`.

    Raises:
      UsageError: the call or the data set is wrong, or `out` holds other data.
      FacelogError: the run failed; the same call continues it.
    """
    runner = parse_runner(runner)
    if runner not in ("local", "direct"):
        raise UsageError(f"--runner {runner}: data sets are prepared on one machine; use local (default) or direct.")
    dataset = read_dataset(path, kind, faces=faces)
    if dataset.kind in _HAS_DUPLICATES:
        dataset = with_groups(dataset)
    if whole_picture is None:
        whole_picture = dataset.kind in _CLOSE_CROPS or (dataset.kind == "all_age_faces" and faces == "aligned")
    wanted = PreparedInfo(
        kind=dataset.kind,
        geometry=_geometry(geometry),
        margin=margin,
        split=split,
        whole_picture=whole_picture,
        detector=_detector(detector),
        min_face=min_face,
        landmarks_sha256=landmark_sha256(),
        shard_size=shard_size,
    )
    folder = Path(out)
    with hold(str(folder)):
        there = read_info(folder)
        if there is None:
            write_info(folder, wanted)
        else:
            check_settings(folder, there, wanted)
        forget_notes(folder)
        with _Progress(dataset, split, console) as progress:
            run = _Run(dataset, wanted, folder, progress)
            if runner == "direct":
                run.direct()
            else:
                run.on_workers(worker_count(workers, "cpu"))
        info = run.info()
        if info != there:
            write_info(folder, info)
    return info


def _detector(name: str | None) -> str:
    """The name of a detector that there is; default: that of `analyze`."""
    name = name or Detection().detector
    detector_card(name)
    return name


class _Run:
    """A run: its shards, and the results so far."""

    def __init__(self, dataset: DataSet, info: PreparedInfo, folder: Path, progress: "_Progress"):
        self._dataset = dataset
        self._info = info
        self._folder = folder
        self._progress = progress
        self._left_out: Counter[str] = Counter()
        self._done: dict[int, ShardDone] = {}
        self._failed: list[str] = []

    def on_workers(self, workers: int) -> None:
        """Process the missing shards in worker processes."""
        seconds = _SHARD_SECONDS + _PICTURE_SECONDS * self._info.shard_size
        run_local(
            functools.partial(CutShards, self._info, self._folder),
            (Task(f"shard {shard.index}", shard, seconds) for shard in self._pending()),
            workers=workers,
            max_attempts=_ATTEMPTS,
            on_outcome=self._ended,
            worker_init=init_worker,
            imports=[CutShards.__module__],
        )
        if self._failed:
            raise FacelogError(f"{self._folder}: {self._failed[0]}; the same command continues with what is missing.")

    def direct(self) -> None:
        """Process the missing shards in this process."""
        pending = list(self._pending())
        run_direct(lambda pipeline: pipeline | beam.Create(pending) | CutShards(self._info, self._folder))
        for shard in pending:
            done = read_shard_done(self._folder, shard.index)
            assert done is not None
            self._add(done)

    def info(self) -> PreparedInfo:
        """`prepared.json` of the finished run."""
        done = [self._done[index] for index in sorted(self._done)]
        dropped = sum((shard.dropped for shard in done), Counter(self._left_out))
        return self._info.model_copy(
            update={
                "complete": True,
                "pictures": sum(shard.pictures for shard in done) + self._left_out.total(),
                "dropped": dict(dropped.most_common()),
                "shards": tuple(shard.rows for shard in done),
            }
        )

    def _pending(self) -> Iterator[Shard]:
        """The shards that are missing."""
        samples = self._dataset.samples(self._left_out, self._info.split)
        for shard in shards_of(samples, self._info.shard_size):
            done = read_shard_done(self._folder, shard.index)
            if done is None:
                yield shard
            elif done.digest != samples_digest(shard.samples):
                raise UsageError(
                    f"{shard_path(self._folder, shard.index)} was made of other pictures or labels than "
                    f"{self._dataset.root} has now: give another --out, or remove that folder."
                )
            else:
                self._add(done, resumed=True)

    def _ended(self, outcome: Outcome) -> Iterable[Task]:
        if outcome.failure:
            self._failed.append(f"{outcome.task.key}: {outcome.failure.message}")
        for done in outcome.results:
            self._add(done)
        return ()

    def _add(self, done: ShardDone, *, resumed: bool = False) -> None:
        self._done[done.index] = done
        self._progress.done(done, self._left_out.total(), resumed=resumed)


class _Progress:
    """Shows pictures done, pictures per second and time left: as a progress bar on a terminal, otherwise in the log."""

    def __init__(self, dataset: DataSet, split: str | None, console: Console | None):
        # The number of pictures in a split is only known at the end.
        self._total = dataset.size if split is None else None
        self._started = time.monotonic()
        self._pictures = self._new = 0
        shown = console is not None and console.is_terminal
        self._bars = Progress(
            TextColumn("preparing {task.fields[pictures]}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
            disable=not shown,
        )
        self._bar = self._bars.add_task("", total=self._total, pictures="", speed="")

    def __enter__(self) -> "_Progress":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def done(self, shard: ShardDone, left_out: int, *, resumed: bool) -> None:
        """Add a shard; `left_out` is the number of pictures that the reader has left out so far."""
        self._pictures += shard.pictures
        self._new += 0 if resumed else shard.pictures
        seen, text = self._pictures + left_out, ""
        if self._new:
            speed = self._new / (time.monotonic() - self._started)
            text = f"{speed:.0f} pictures/s"
            if self._total:
                text += f", about {clock((self._total - seen) / speed)} left"
        pictures = f"{seen:,}" + (f"/{self._total:,}" if self._total else "")
        self._bars.update(self._bar, completed=seen, pictures=pictures, speed=text)
        _LOG.info("shard %d %s  %s", shard.index, "was there" if resumed else "written", text)


def print_report(info: PreparedInfo, console: Console) -> None:
    """Print how many pictures became chips, and why the others did not."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row(f"{info.pictures:,}", f"pictures of {info.kind}" + (f", split {info.split}" if info.split else ""))
    table.add_row(f"{info.count:,}", Text(f"chips of {info.size} × {info.size} pixels", "green"))
    for reason, count in info.dropped.items():
        if count:
            table.add_row(f"{count:,}", Text(f"left out: {reason}", "dim"))
    console.print(table)


def _geometry(name: str) -> Geometry:
    if name in ZOO:
        return in_rgb(ZOO[name].geometry)
    try:
        folder = bundle_path(name)
    except BundleError as error:
        raise UsageError(f"--geometry {name}: {error} Nor is it a network of the zoo: {', '.join(ZOO)}.") from error
    return in_rgb(read_card(folder).geometry)


def in_rgb(geometry: Geometry) -> Geometry:
    """The geometry with the channels of shards: grey, or RGB also for networks that take BGR."""
    return geometry if geometry.channels == "grey" else dataclasses.replace(geometry, channels="rgb")
