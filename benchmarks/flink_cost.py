"""Measures what a job on Flink costs; docs/scaling.md calculates from these figures.

usage: python -m benchmarks.flink_cost segments VIDEO...     CPU seconds of each step, and of a worker's start
       python -m benchmarks.flink_cost shape N...            the job's shape with N segments that cost nothing
       python -m benchmarks.flink_cost runs MINUTES:VIDEO... a real run on two task managers and on one

`shape` and `runs` start a cluster of their own, which needs root, Java and the S3 server (see deploy/flink_cluster).
CPU seconds come from /proc, by role: client (with Beam's job server), job manager, task managers, Python workers.
"""

import argparse
import collections
import contextlib
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import apache_beam as beam
import av
import cv2
import pyarrow.parquet as pq

from benchmarks.clips import looped
from benchmarks.flink_use import watched
from benchmarks.speed import by_step
from deploy.flink_cluster.cluster import Cluster
from pipelines.analyze import archive_job
from pipelines.settings import make_config
from runners.flink.submit import FlinkOptions, preflight, submit
from schemas import storage
from schemas.config import Config
from schemas.layout import Layout
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Clock, Plan, Segment
from tests.s3 import BUCKET, Proxy, S3Server
from transforms.copies import EarlierResults
from transforms.job.files import Job, write_job
from transforms.job.shuffle import unpack
from transforms.probe_video import probe_video
from transforms.write_fragment import SegmentDone
from transforms.write_tables import assemble_video

POOL = f"{Path(sys.executable).parent / 'facelog'} worker"
_A_VIDEO = 60  # segments of the videos that `shape` makes up: an hour
CLIENT = """
from pipelines.cli.main import main as cli
from pipelines.runs import on_flink as flink
flink._POOL_ANSWERS_WITHIN = 600  # seconds; a busy machine needs them
cli.main()
"""
_START = """
from models.bundle import load_bundle
from models.handlers import FaceModelHandler
from pipelines import analyze
from pipelines.settings import make_config
for model in make_config().models:
    FaceModelHandler(model).load_model()
"""


def segments(paths: list[Path], minutes: float) -> None:
    """Measures `minutes` of each clip, step by step, without Beam."""
    cv2.setNumThreads(1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _START], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"a worker's start, with its models: {cpu:.1f} CPU s, {after.ru_maxrss / 1e3:.0f} MB")
    config = make_config()
    print("| clip | pixels | faces a sample | MB a minute | probe | a minute of segments | assembling | rows | bytes |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for warm, path in enumerate([paths[0], *paths]):
            line = _costs(path, Path(folder, str(warm)), config, minutes=minutes if warm else 0.1)
            if warm:  # the first time, models and caches are loaded
                print(line, flush=True)


def _costs(path: Path, folder: Path, config: Config, *, minutes: float) -> str:
    """A line of the table."""
    folder.mkdir()
    clip = minutes_of(path, folder / path.name, minutes)
    run = Run("cost", config, Layout(str(folder / "out")))
    start = time.process_time()
    plan = probe_video(storage.stat(storage.normalize(str(clip))), config)
    probed = time.process_time() - start
    minutes = sum(segment.duration for segment in plan.segments) / 60
    cost = sum(by_step(plan, config, run).values())
    observations = sum(pq.read_metadata(file).num_rows for file in Path(folder, "out").rglob("*.parquet"))
    start = time.process_time()
    assemble_video(plan, run)
    assembled = time.process_time() - start
    rows, size = tables_of(folder / "out")
    assert plan.info is not None and config.sampling.sample_fps
    samples = minutes * 60 * float(config.sampling.sample_fps)
    return (
        f"| `{path.name}` | {plan.info.width}×{plan.info.height} | {observations / samples:.1f} "
        f"| {clip.stat().st_size / minutes / 1e6:.1f} | {probed:.2f} | {cost / minutes:.1f} | {assembled:.2f} "
        f"| {rows} | {size} |"
    )


def minutes_of(source: Path, path: Path, minutes: float) -> Path:
    """Repeats a clip until it is about `minutes` long."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        ticks = max((p.pts or 0) + (p.duration or 0) for p in packets) - min(p.pts or 0 for p in packets)
        length = float(ticks * (stream.time_base or Fraction(0)))
    return looped(source, path, max(1, round(minutes * 60 / length)))


class _PlanUp(beam.PTransform):
    """FileInfo → its Plan, with segments that nobody reads."""

    def __init__(self, run: Run):
        super().__init__()

    def expand(self, files):
        return files | beam.Map(_made_up).with_output_types(Plan)


def _made_up(file: FileInfo) -> Plan:
    name = f"{int(file.uri.rpartition('/')[2]):032x}"
    clock = Clock(0, 1, 12800)
    minutes = (
        Segment(file, name, i, clock, 60.0 * i, 60.0 * (i + 1), 768000 * i, 768000 * i, 1500 * i, 60.0)
        for i in range(_A_VIDEO)
    )
    return Plan(file, name, segments=tuple(minutes))


class _DoNothing(beam.PTransform):
    """Segment → SegmentDone."""

    def __init__(self, run: Run, device: str):
        super().__init__()

    def expand(self, segments):
        return segments | beam.Map(SegmentDone, 0)


def _made_rows(group: tuple[str, Any], job: Job) -> Iterator[str]:
    for content in map(unpack, group[1]["content"]):
        yield from (plan.file.uri for plan in content.plans)


def _count(counted: tuple[None, int], job: Job) -> int:
    storage.write_bytes(storage.join(job.folder.folder, "count"), str(counted[1]).encode())
    return counted[1]


@contextlib.contextmanager
def steps_that_cost_nothing() -> Iterator[None]:
    """While it is open, a job that is built makes up its plans and does nothing with segments."""
    replaced: dict[str, Any] = {
        "pipelines.analyze.FilesToPlans": _PlanUp,
        "pipelines.analyze.SegmentsToFragments": _DoNothing,
        "transforms.job.contents.pending_segments": lambda plan, work: plan.segments,
        "transforms.job.contents._assemble": _made_rows,
        "transforms.job.contents._close": _count,
    }
    with contextlib.ExitStack() as stack:
        for name, step in replaced.items():
            stack.enter_context(mock.patch(name, step))
        yield


def made_up_job(folder: str, number: int) -> Job:
    """A job of about so many segments, in whole videos of an hour, to be run with `steps_that_cost_nothing`."""
    config = make_config()
    run = Run(f"shape-{number}-{time.time():.0f}", config, Layout(folder))
    files = [FileInfo(f"s3://archive/{i}", 10**8, datetime.now(UTC), str(i)) for i in range(number // _A_VIDEO)]
    return write_job(run, files, EarlierResults())


def counted(job: Job) -> int:
    """Number of videos that such a job has finished."""
    return int(storage.read_bytes(storage.join(job.folder.folder, "count")))


def shape(cluster: Cluster, number: int) -> None:
    """Runs one job of an archive's shape with so many segments."""
    with tempfile.TemporaryDirectory() as folder:
        job = made_up_job(folder, number)
        options = FlinkOptions(cluster.master, job_server_jar=str(cluster.job_server_jar))
        with watched(cluster, f"{number} segments"), steps_that_cost_nothing():
            submitted = submit(lambda p: archive_job(p, job), f"facelog-{job.run.run_id}", options, preflight(options))
            *_, last = submitted.states(1.0)
        assert last.state == "FINISHED" and counted(job) == number // _A_VIDEO, last
        times = cluster.rest(f"/jobs/{submitted.job_id}")
        (used,) = cluster.rest("/jobmanager/metrics?get=Status.JVM.Memory.Heap.Used")
        print(
            f"  job: {times['duration'] / 1e3:.0f} s; job manager's heap: {int(used['value']) / 1e6:.0f} MB", flush=True
        )


def runs(cluster: Cluster, server: S3Server, proxy: Proxy, videos: list[str]) -> None:
    """Analyzes the same videos on two task managers and on one."""
    requests: list[tuple[float, str, str]] = []
    proxy.disturb = lambda number, method, target: requests.append((time.time(), method, target))
    source = server.folder / BUCKET / "in"
    source.mkdir()
    for i, video in enumerate(videos):
        minutes, _, path = video.partition(":")
        minutes_of(Path(path), source / f"{i:03d}-{Path(path).name}", float(minutes))
    given = sum(file.stat().st_size for file in source.iterdir())
    print(f"{len(videos)} videos, {given / 1e6:.1f} MB")
    for managers in (2, 1):
        if managers == 1:
            cluster.kill_task_manager(2)
            while cluster.rest("/overview")["taskmanagers"] > 1:
                time.sleep(1)
        where = ["--out", f"s3://{BUCKET}/out-{managers}", "--flink-master", cluster.master]
        how = ["--runner", "flink", "--flink-job-server-jar", str(cluster.job_server_jar), "--quiet"]
        command = [sys.executable, "-c", CLIENT, "analyze", f"s3://{BUCKET}/in", *where, *how]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        requests.clear()
        proxy.clear()
        started = time.time()
        with watched(cluster, f"{managers} task managers"):
            subprocess.run(command, check=True, env=os.environ | cluster.env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"  client: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} CPU s")
        (told,) = [job for job in cluster.rest("/jobs/overview")["jobs"] if job["start-time"] / 1e3 > started]
        begun, over = (told[name] / 1e3 - started for name in ("start-time", "end-time"))
        print(f"  job: from {begun:.0f} to {over:.0f} s after the call")
        _print_requests(requests, proxy.sent, started)
        rows, size = tables_of(server.folder / BUCKET / f"out-{managers}")
        print(f"  tables: {rows} rows, {size / 1e6:.2f} MB", flush=True)


def _print_requests(requests: list[tuple[float, str, str]], read: int, started: float) -> None:
    count = collections.Counter(method for _, method, _ in requests)
    print(f"  {len(requests)} requests {dict(count)}, {read / 1e6:.1f} MB read")
    kinds = collections.Counter((method, *kind(target)) for _, method, target in requests)
    for (method, *about), number in sorted(kinds.items()):
        print(f"    {number} {method} {' '.join(about)}")
    attempts = [at for at, method, target in requests if method == "PUT" and "/attempts/" in target]
    probes = [at for at, method, target in requests if method == "PUT" and "/attempts/probes/" in target]
    segments = sorted(set(attempts) - set(probes))
    for name, times in (("probes", probes), ("segments", segments)):
        print(f"  {name}: from {min(times) - started:.0f} to {max(times) - started:.0f} s after the call")


def kind(target: str) -> Iterator[str]:
    """The kind of a request: its target without names of videos and runs."""
    path, _, query = target.partition("?")
    prefix = urllib.parse.parse_qs(query).get("prefix", [""])[0]
    for part in [*path.split("/")[2:], *(["prefix", *prefix.split("/")] if prefix else [])]:
        yield re.sub(r"[0-9a-f]{6,}|\d+|bucket=..", "*", part)


def tables_of(folder: Path) -> tuple[int, int]:
    """Rows and bytes of the tables under DIR."""
    files = list(folder.rglob("bucket=*/*.parquet"))
    return sum(pq.read_metadata(file).num_rows for file in files), sum(file.stat().st_size for file in files)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["segments", "shape", "runs"])
    parser.add_argument("arguments", nargs="+")
    parser.add_argument("--state", help="the cluster's folder; default: a temporary one")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Flink, such as a smaller heap"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="of each clip, for segments (default 1)")
    choice = parser.parse_args()
    if choice.what == "segments":
        segments([Path(path) for path in choice.arguments], choice.minutes)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(
            choice.state or folder, s3=False, pool=POOL, settings=dict(text.split("=", 1) for text in choice.set)
        ) as cluster,
    ):
        if choice.what == "shape":
            for number in choice.arguments:
                shape(cluster, int(number))
            return
        host, _, port = cluster.s3_endpoint.removeprefix("http://").partition(":")
        Path(folder, "s3").mkdir()
        server = S3Server(Path(folder, "s3"))
        server.start()
        listener = socket.create_server((host, int(port)))  # where all hosts reach it
        with mock.patch("socket.create_server", return_value=listener):
            proxy = Proxy(server.port)
        try:
            runs(cluster, server, proxy, choice.arguments)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
