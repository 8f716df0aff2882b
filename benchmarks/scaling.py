"""Calculates what an archive needs on a cluster from measured costs: the tables of docs/scaling.md.

usage: python -m benchmarks.scaling [--hours 100000] [--hosts 20] [--slots 16] [...]
       python -m benchmarks.scaling --check     the two runs that were measured: predicted, measured, error

`benchmarks.flink_cost` measures the costs.
"""

import argparse
import dataclasses
import math
from collections.abc import Iterator

import numpy as np

_DRAWS = 50
_KEPT_GIGABYTES = 0.0084  # smaller videos are fetched whole
_READ_AHEAD_GIGABYTES = 0.0042


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive to be analyzed.

    Attributes:
      hours: hours of video.
      videos: number of videos.
      segments: number of segments in all videos.
      gigabytes: size of all videos.
      ranged: share of the videos (and their segments) that are larger than 8 MiB, so that ranges of them are read.
    """

    hours: float
    videos: int
    segments: int
    gigabytes: float
    ranged: float = 1.0

    @classmethod
    def of(cls, hours: float, *, video_hours: float, segment_seconds: float, gigabytes_an_hour: float) -> "Archive":
        """An archive of videos of one length."""
        videos = max(1, round(hours / video_hours))
        each = max(1, round(video_hours * 3600 / segment_seconds))
        gigabytes = hours * gigabytes_an_hour
        return cls(hours, videos, videos * each, gigabytes, float(gigabytes / videos > _KEPT_GIGABYTES))


@dataclasses.dataclass(frozen=True)
class Machines:
    """The cluster.

    Attributes:
      hosts: number of hosts with a task manager and a worker pool.
      slots: slots of each host, with a Python worker for each slot.
      core_share: share of one core that a slot has, on a machine like that of the measurements.
      request_seconds: seconds that the object store takes to answer.
    """

    hosts: int
    slots: int
    core_share: float = 1.0
    request_seconds: float = 0.03

    @property
    def all_slots(self) -> int:
        """Slots of the whole cluster."""
        return self.hosts * self.slots


@dataclasses.dataclass(frozen=True)
class Costs:
    """The measured costs; CPU seconds are those of one core of that machine.

    Attributes:
      minutes: CPU seconds of a minute of video without Beam, of clips of several kinds.
      probe, assembling: CPU seconds of a video, and of an hour of video.
      worker_start: CPU seconds to start a Python worker, in each of `phases`.
      models: CPU seconds to load its models, in one phase.
      phases: parts of the job that Flink runs one after the other, each with new Python workers.
      passing: CPU seconds of Beam in the Python workers for a segment without work.
      task_manager, job_manager, client: CPU seconds for a job; those of the first for each slot.
      row: CPU seconds of the last step, which is one process, to read one row of `videos`.
      requests: for a job, a video, a segment; additional ones for a large video, and for a segment of one.
      looks: requests a second of a client that watches the job.
      probe_bytes, tail_bytes: bytes of a large video that its probe reads, and that each segment reads past its end.
      rows: rows in all tables for an hour of video.
      video_bytes, row_bytes: bytes of the tables for a video and for a row.
      worker_mb, java_mb, manager_mb: peak memory of a Python worker, a task manager and the job manager.
      listed_mb: memory of a process that lists a million objects.
      detection, restart: seconds until a lost host is noticed, and until its tasks are deployed again.
    """

    minutes: tuple[float, ...]
    probe: float
    assembling: float
    worker_start: float
    models: float
    phases: int
    passing: float
    task_manager: float
    job_manager: float
    client: float
    row: float
    requests: tuple[float, float, float, float, float]
    looks: float
    probe_bytes: float
    tail_bytes: float
    rows: float
    video_bytes: float
    row_bytes: float
    worker_mb: float
    java_mb: float
    manager_mb: float
    listed_mb: float
    detection: float
    restart: float

    def scaled(self, cpu_per_hour: float) -> "Costs":
        """The same costs for videos whose mean hour takes so many CPU seconds, with the same relative spread."""
        factor = cpu_per_hour / 60 / float(np.mean(self.minutes))
        return dataclasses.replace(self, minutes=tuple(minute * factor for minute in self.minutes))


MEASURED = Costs(
    minutes=(9.2, 12.5, 10.2, 11.6, 22.3, 11.4, 4.4, 22.9, 8.7, 16.1),
    probe=0.22,
    assembling=0.6,
    worker_start=3.8,
    models=10.3,
    phases=3,
    passing=0.00008,
    task_manager=20,
    job_manager=25,
    client=6,
    row=0.0035,
    requests=(40, 38, 8, 80, 8),
    looks=1.5,
    probe_bytes=6e6,
    tail_bytes=1.2e6,
    rows=7200,
    video_bytes=77_000,
    row_bytes=58,
    worker_mb=1024,
    java_mb=1000,
    manager_mb=480,
    listed_mb=750,
    detection=50,
    restart=3,
)

# The runs of docs/scaling.md: three, two and one minute of three clips of `minutes`; only the first is of a large file.
RUN_ARCHIVE = Archive(hours=0.1, videos=3, segments=6, gigabytes=0.0135, ranged=0.5)
RUN_MINUTES = (9.2, 9.2, 9.2, 10.2, 10.2, 4.4)
RUNS: tuple[tuple[Machines, dict[str, float]], ...] = (
    (
        Machines(hosts=2, slots=1, core_share=0.26, request_seconds=0.002),
        {
            "worker_cpu": 92.5,
            "cpu_seconds": 164.2,
            "requests": 568,
            "bytes_read": 32.7e6,
            "rows": 916,
            "table_bytes": 0.30e6,
            "start": 125,
            "segments": 69,
            "seconds": 204,
        },
    ),
    (
        Machines(hosts=1, slots=1, core_share=0.35, request_seconds=0.002),
        {
            "worker_cpu": 77.0,
            "cpu_seconds": 113.1,
            "requests": 595,
            "bytes_read": 32.8e6,
            "rows": 916,
            "table_bytes": 0.30e6,
            "start": 84,
            "segments": 133,
            "seconds": 228,
        },
    ),
)


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a run takes.

    Attributes:
      start, probes, segments, assembling, closing: seconds on the clock, one after the other.
      straggling: time of the slowest slot for its segments over the mean of all slots.
      worker_cpu: CPU seconds of the Python workers.
      cpu_seconds: CPU seconds of all processes.
      overhead: share of `cpu_seconds` that starts, Beam and Flink take.
      requests: requests to the object store.
      bytes_read: bytes read from it.
      rows: rows of the tables.
      table_bytes: bytes of the tables.
      host_mb: memory of a host.
      manager_mb: memory of the job manager.
      client_mb: memory of a client that shows the progress.
      lost_host: additional seconds if a host is lost when half of the segments are done.
    """

    start: float
    probes: float
    segments: float
    assembling: float
    closing: float
    straggling: float
    worker_cpu: float
    cpu_seconds: float
    overhead: float
    requests: float
    bytes_read: float
    rows: float
    table_bytes: float
    host_mb: float
    manager_mb: float
    client_mb: float
    lost_host: float

    @property
    def seconds(self) -> float:
        """Seconds from the call to the end of the run."""
        return self.start + self.probes + self.segments + self.assembling + self.closing


def needs(archive: Archive, machines: Machines, costs: Costs = MEASURED) -> Needs:
    """What an undisturbed run takes, and what a lost host adds."""
    videos, segments, slots = archive.videos, archive.segments, machines.all_slots
    share, latency = machines.core_share, machines.request_seconds
    a_job, a_video, a_segment, ranged_video, ranged_segment = costs.requests
    a_video += archive.ranged * ranged_video
    a_segment += archive.ranged * max(ranged_segment, archive.gigabytes / segments / _READ_AHEAD_GIGABYTES)
    minute = float(np.mean(costs.minutes))
    steps = archive.hours * 60 * minute
    videos_cpu = videos * costs.probe + archive.hours * costs.assembling
    worker_starts = costs.phases * costs.worker_start + costs.models
    worker_cpu = steps + videos_cpu + segments * costs.passing + slots * worker_starts
    late = straggling(segments, slots, costs.minutes)
    one_segment = (steps / segments + costs.passing) / share + a_segment * latency
    last_video = most_dealt(videos, slots)
    found = Needs(
        start=(costs.client + worker_starts) / share,
        probes=last_video * (costs.probe / share + a_video / 2 * latency),
        segments=segments / slots * late * one_segment,
        assembling=last_video * (archive.hours / videos * costs.assembling / share + a_video / 2 * latency),
        closing=2 * videos * max(costs.row / share, latency / 8),  # eight at a time
        straggling=late,
        worker_cpu=worker_cpu,
        cpu_seconds=worker_cpu + slots * costs.task_manager + costs.job_manager + costs.client + 2 * videos * costs.row,
        overhead=0.0,
        requests=a_job + videos * a_video + segments * a_segment,
        bytes_read=archive.gigabytes * 1e9 * (2 - archive.ranged)
        + archive.ranged * (videos * costs.probe_bytes + segments * costs.tail_bytes),
        rows=archive.hours * costs.rows,
        table_bytes=videos * costs.video_bytes + archive.hours * costs.rows * costs.row_bytes,
        host_mb=machines.slots * costs.worker_mb + costs.java_mb,
        manager_mb=costs.manager_mb,
        client_mb=segments / 1e6 * costs.listed_mb,
        lost_host=costs.detection
        + costs.restart
        + (costs.worker_start + costs.models) / share
        + one_segment / 2
        + segments / 2 / slots * (2 * latency + costs.passing / share),  # segments that were done are looked up again
    )
    return dataclasses.replace(
        found,
        overhead=1 - (steps + videos_cpu) / found.cpu_seconds,
        requests=found.requests + costs.looks * found.seconds,
    )


def straggling(segments: int, slots: int, minutes: tuple[float, ...]) -> float:
    """Work of the busiest slot over the mean; segments are assigned in turn, and each has a random cost.

    Args:
      segments: number of segments.
      slots: number of slots.
      minutes: costs to draw from.

    Returns:
      The mean of 50 draws, at least 1.
    """
    draw = np.random.default_rng(0)
    each, more = divmod(segments, slots)
    mean, deviation = float(np.mean(minutes)), float(np.std(minutes))
    worst = []
    for _ in range(_DRAWS):
        if each > 1000:  # their sum is normal
            work = draw.normal(each * mean, math.sqrt(each) * deviation, slots)
        else:
            work = draw.choice(minutes, (slots, each)).sum(axis=1)
        work[:more] += draw.choice(minutes, more)
        worst.append(work.max() / (segments * mean / slots))
    return max(1.0, float(np.mean(worst)))


def most_dealt(videos: int, slots: int) -> float:
    """Videos on the fullest slot if videos are assigned by hash; the mean of 50 draws."""
    draw = np.random.default_rng(0)
    return float(np.mean(draw.multinomial(videos, [1 / slots] * slots, _DRAWS).max(axis=1)))


def lines(archive: Archive, machines: Machines, found: Needs) -> Iterator[str]:
    """The lines of the table."""
    yield f"| {archive.hours:,.0f} hours on {machines.hosts} × {machines.slots} slots | |"
    yield "| --- | ---: |"
    a_slot = archive.segments / machines.all_slots
    yield f"| videos, segments, segments of a slot | {archive.videos:,}, {archive.segments:,}, {a_slot:,.0f} |"
    yield f"| time | {_clock(found.seconds)} |"
    for name in ("start", "probes", "segments", "assembling", "closing"):
        yield f"| … {name} | {_clock(getattr(found, name))} |"
    yield f"| busiest slot over the mean | {found.straggling:.3f} |"
    yield f"| CPU | {found.cpu_seconds / 3600:,.0f} core hours, {found.overhead:.2%} of them starts, Beam and Flink |"
    yield f"| requests | {found.requests / 1e6:,.1f} million, {found.requests / found.seconds:,.0f} a second |"
    yield f"| read | {found.bytes_read / 1e12:,.1f} TB, {found.bytes_read / found.seconds / 1e6:,.0f} MB a second |"
    yield f"| tables | {found.rows / 1e6:,.0f} million rows, {found.table_bytes / 1e9:,.0f} GB |"
    yield f"| memory of a host | {found.host_mb / 1e3:.1f} GB |"
    yield f"| of the job manager | {found.manager_mb / 1e3:.1f} GB |"
    yield f"| of a client that watches the job | {found.client_mb / 1e3:.1f} GB |"
    yield f"| a host lost half way | {_clock(found.lost_host)} more |"


def _clock(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def check() -> Iterator[str]:
    """The runs that were measured beside what is calculated for them."""
    yield "| task managers | figure | calculated | measured | error |"
    yield "| ---: | --- | ---: | ---: | ---: |"
    for machines, measured in RUNS:
        found = needs(RUN_ARCHIVE, machines, dataclasses.replace(MEASURED, minutes=RUN_MINUTES))
        for name, value in measured.items():
            calculated = getattr(found, name)
            yield f"| {machines.hosts} | {name} | {calculated:,.0f} | {value:,.0f} | {calculated / value - 1:+.0%} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=100_000, help="of video")
    parser.add_argument("--video-hours", type=float, default=1.0, help="of one video")
    parser.add_argument("--segment-seconds", type=float, default=60.0)
    parser.add_argument("--gigabytes-an-hour", type=float, default=1.0, help="of video")
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--slots", type=int, default=16, help="of each host")
    parser.add_argument("--core-share", type=float, default=1.0, help="of one core that a slot has")
    parser.add_argument("--request-seconds", type=float, default=0.03, help="that the object store takes to answer")
    parser.add_argument(
        "--cpu-per-hour", type=float, help="CPU seconds of an hour of video; default: the mean measured"
    )
    parser.add_argument("--check", action="store_true", help="the runs that were measured, instead")
    args = parser.parse_args()
    if args.check:
        print("\n".join(check()))
        return
    archive = Archive.of(
        args.hours,
        video_hours=args.video_hours,
        segment_seconds=args.segment_seconds,
        gigabytes_an_hour=args.gigabytes_an_hour,
    )
    machines = Machines(args.hosts, args.slots, args.core_share, args.request_seconds)
    costs = MEASURED.scaled(args.cpu_per_hour) if args.cpu_per_hour else MEASURED
    print("\n".join(lines(archive, machines, needs(archive, machines, costs))))


if __name__ == "__main__":
    main()
