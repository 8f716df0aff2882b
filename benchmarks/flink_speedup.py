"""Compares two task managers with one, and measures the share of Beam and Flink: the table of docs/scaling.md.

usage: python -m benchmarks.flink_speedup [--minutes 20]

It makes a cluster of three hosts on this machine, which needs root and Java (see deploy/flink_cluster), and so many
minutes of video in a folder that the hosts share. After a run that warms the cluster up, four runs are measured:
without and with models, on two task managers of one slot and on one. The figures mean something only on a machine with
two idle cores, where it takes about a quarter of an hour.
"""

import argparse
import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from benchmarks.clips import looped
from benchmarks.flink_cost import CLIENT, POOL
from benchmarks.flink_use import Use, Watch
from benchmarks.speed import by_step
from deploy.flink_cluster.cluster import Cluster
from pipelines.settings import ATTRIBUTES, make_config
from schemas import storage
from schemas.layout import Layout
from schemas.run import Run
from tests.clips import portrait_clip
from transforms.probe_video import probe_video

_VIDEOS = 4
_SETTLE_SECONDS = 5.0  # until the pools have noticed that their workers have ended
MODELS = {"without models": tuple(f"--without={attribute}" for attribute in ATTRIBUTES), "with models": ()}


@dataclasses.dataclass(frozen=True)
class Measured:
    """The figures of one run.

    Attributes:
      managers: number of task managers of one slot each.
      seconds: from the call to the end of the run.
      first, last: seconds from the call to the begin of the first segment and to the end of the last one.
      uses: what the cluster's processes used, by role.
      client: CPU seconds of the client, without Beam's job server.
      steps: CPU seconds of the same segments in one process, without Beam.
    """

    managers: int
    seconds: float
    first: float
    last: float
    uses: dict[str, Use]
    client: float
    steps: float

    def cpu(self, role: str) -> float:
        """CPU seconds of all processes whose role begins with a text."""
        return sum(use.cpu for name, use in self.uses.items() if name.startswith(role))

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all processes."""
        return self.cpu("") + self.client

    @property
    def core_share(self) -> float:
        """Share of the time that the workers' threads had a core, of the time that they wanted one."""
        pools = [use for name, use in self.uses.items() if name.startswith("pool")]
        running = sum(use.running for use in pools)
        return running / max(1e-9, running + sum(use.waiting for use in pools))


class Segments(threading.Thread):
    """Notes from the files in DIR when the first segment is begun and when the last one is done."""

    def __init__(self, out: Path):
        """Starts at once."""
        super().__init__(daemon=True)
        self._work, self._over = Path(Layout(str(out)).work), threading.Event()
        self.begun: list[float] = []
        self.done: dict[str, float] = {}
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.2):
            attempts = [path for path in self._work.glob("jobs/*/attempts/*/*.json") if path.parent.name != "probes"]
            if attempts and not self.begun:
                self.begun.append(time.time())
            for path in self._work.glob("*/*/*.parquet"):
                self.done.setdefault(path.name + path.parent.name, time.time())

    def end(self) -> tuple[float, float]:
        """Stops; returns when the first segment was begun and when the last one was done."""
        self._over.set()
        self.join()
        return self.begun[0], max(self.done.values())


def make_videos(folder: Path, minutes: float) -> float:
    """Makes four videos of one moving face, 640×360 at 25 frames a second; returns their minutes in total."""
    folder.mkdir()
    clip = portrait_clip(folder / "clip.mp4", seconds=10, fps=25, size=(640, 360), moving=True, gop=50, b_frames=2).path
    times = [max(1, round(minutes * 6 / _VIDEOS)) + i for i in range(_VIDEOS)]  # equal lengths would make copies
    for i, number in enumerate(times):
        looped(clip, folder / f"{i}.mp4", number)
    clip.unlink()
    return sum(times) / 6


def steps_seconds(video: Path, folder: Path, settings: tuple[str, ...]) -> float:
    """CPU seconds of the steps for a minute of a video, without Beam."""
    config = make_config(without=ATTRIBUTES if settings else ())
    plan = probe_video(storage.stat(str(video)), config)
    for number in (1, 2):  # the first time, models and caches are loaded
        run = Run("steps", config, Layout(str(folder / f"steps-{number}")))
        cost = sum(by_step(dataclasses.replace(plan, segments=plan.segments[:number]), config, run).values())
    return cost / (sum(segment.duration for segment in plan.segments[:2]) / 60)


def measure(cluster: Cluster, archive: Path, out: Path, settings: tuple[str, ...], steps: float) -> Measured:
    """Measures one run on all task managers of the cluster."""
    managers = int(cluster.rest("/overview")["taskmanagers"])
    how = ["--runner", "flink", "--flink-master", cluster.master]
    how += ["--flink-job-server-jar", str(cluster.job_server_jar), "--quiet", *settings]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watch, segments, begun = Watch(cluster), Segments(out), time.time()
    subprocess.run([sys.executable, "-c", CLIENT, "analyze", str(archive), "--out", str(out), *how], check=True)
    seconds = time.time() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    first, last = segments.end()
    time.sleep(_SETTLE_SECONDS)
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shutil.rmtree(out)
    return Measured(managers, seconds, first - begun, last - begun, watch.end(), client, steps)


def table(minutes: float, pairs: dict[str, tuple[Measured, Measured]]) -> Iterator[str]:
    """The table: each kind of run on two task managers and on one."""
    runs = [run for pair in pairs.values() for run in pair]
    yield "| | " + " | ".join(f"{name}, {run.managers}" for name, pair in pairs.items() for run in pair) + " |"
    yield "| --- |" + " ---: |" * len(runs)

    def line(name: str, *figures: str) -> str:
        return f"| {name} | " + " | ".join(figures) + " |"

    yield line("from the call to the end", *(f"{run.seconds:.0f} s" for run in runs))
    yield line("… first segment begun", *(f"{run.first:.0f} s" for run in runs))
    yield line("… last segment done", *(f"{run.last:.0f} s" for run in runs))
    whole = [f"{one.seconds / two.seconds:.2f}" for two, one in pairs.values()]
    alone = [f"{(one.last - one.first) / (two.last - two.first):.2f}" for two, one in pairs.values()]
    yield line("**speed-up** of the whole", *(cell for gain in whole for cell in (gain, "")))
    yield line("**speed-up** of the segments", *(cell for gain in alone for cell in (gain, "")))
    yield line("a worker had a core", *(f"{run.core_share:.0%}" for run in runs))
    yield line("CPU of the steps, without Beam", *(f"{run.steps:.0f} s" for run in runs))
    yield line("CPU of the Python workers", *(f"{run.cpu('pool'):.0f} s" for run in runs))
    yield line("… of the task managers", *(f"{run.cpu('task-manager'):.0f} s" for run in runs))
    yield line("… of the job manager", *(f"{run.cpu('job-manager'):.0f} s" for run in runs))
    yield line("… of the client, without Beam's job server", *(f"{run.client:.0f} s" for run in runs))
    yield line("**not steps**, of all CPU", *(f"{1 - run.steps / run.cpu_seconds:.0%}" for run in runs))
    spans = [run.managers * (run.last - run.first) for run in runs]
    yield line(
        "**not steps**, of the slots' time for segments",
        *(f"{1 - run.steps / span:.0%}" for run, span in zip(runs, spans, strict=True)),
    )
    yield line("of video in an hour", *(f"{minutes / 60 / (run.seconds / 3600):.1f} h" for run in runs))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="of video (default 20)")
    wanted = parser.parse_args().minutes
    cv2.setNumThreads(1)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minutes = make_videos(folder / "in", wanted)
        make_videos(folder / "warm", 0.1)
        steps = {
            kind: steps_seconds(folder / "in" / "0.mp4", folder / kind, settings) for kind, settings in MODELS.items()
        }
        found: dict[str, list[Measured]] = {kind: [] for kind in MODELS}
        with Cluster(folder / "cluster", s3=False, pool=POOL) as cluster:
            measure(cluster, folder / "warm", folder / "out", MODELS["with models"], 0.0)
            for managers in (2, 1):
                if managers == 1:
                    cluster.kill_task_manager(2)
                    while cluster.rest("/overview")["taskmanagers"] > 1:
                        time.sleep(1)
                for kind, settings in MODELS.items():
                    run = measure(cluster, folder / "in", folder / "out", settings, steps[kind] * minutes)
                    found[kind].append(run)
                    print(f"{kind}, {managers} task managers: {run.seconds:.0f} s", file=sys.stderr, flush=True)
    print(f"{minutes:.0f} minutes of 640×360 in {_VIDEOS} videos, {os.cpu_count()} cores; ", end="")
    print(f"measured in {(time.monotonic() - started) / 60:.0f} minutes\n")
    print("\n".join(table(minutes, {kind: (runs[0], runs[1]) for kind, runs in found.items()})))


if __name__ == "__main__":
    main()
