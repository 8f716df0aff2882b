"""An archive on the test cluster's object store, and how facelog is called for it."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from typer.testing import CliRunner, Result

from deploy.flink_cluster.cluster import QUICK_JAVA, Cluster
from pipelines.cli.main import app
from tests.clips import portrait_clip
from tests.runs import BARE, ROOT, command
from tests.tables import assert_same_tables, assert_whole, rows, statuses


class Site:
    """An archive of 18 segments on the cluster's object store, and the tables of a run in this process.

    Runs are without models and with segments of a second: these tests are about who does what, and when.

    Attributes:
      cluster: its worker pools are `facelog worker`.
      archive: uri of the archive.
      segments: how many it has.
      reference: folder of the tables.
    """

    def __init__(self, cluster: Cluster, folder: Path):
        """Makes the archive, and analyzes it here."""
        self.cluster, self._folder = cluster, folder
        self.archive, self.segments = cluster.make_bucket("archive"), 18
        self._results = cluster.make_bucket("results")
        self.config = folder / "facelog.toml"
        self.config.write_text("[sampling]\nsegment_seconds = 1.0\n")
        bucket = cluster.state / "buckets" / "archive"
        portrait_clip(bucket / "long.mp4", seconds=12, moving=True, gop=10)
        two = portrait_clip(bucket / "two.mp4", seconds=6, size=(480, 240), faces=2, moving=True, cut_at=2.3, gop=10)
        shutil.copy(two.path, bucket / "two again.mp4")
        (bucket / "bad.mp4").write_text("no video\n")
        self.reference = folder / "reference"
        done = self.call("analyze", *self.settings(self.archive, self.reference), "--runner", "direct")
        assert done.exit_code == 3, done.output

    def settings(self, archive: object, out: object) -> list[str]:
        """The arguments that all runs have."""
        settings = [archive, "--out", out, *BARE, "--lost-after", 0.5, "--config", self.config]
        return [str(argument) for argument in settings]

    def flink(self, archive: object, out: object, *more: str, own_job_server: bool = False) -> list[str]:
        """The arguments of a run on the cluster.

        Args:
          archive: what to analyze.
          out: where the tables go.
          *more: other options.
          own_job_server: whether the client starts a job server, as it does by default; else it uses the cluster's.
        """
        jar = str(self.cluster.job_server_jar)
        where = ["--runner", "flink", "--flink-master", self.cluster.master, "--flink-job-server-jar", jar]
        endpoint = [] if own_job_server else ["--", f"--job_endpoint={self.cluster.job_server}"]
        return ["analyze", *self.settings(archive, out), *where, *more, *endpoint]

    def call(self, *arguments: str, **env: str) -> Result:
        """Runs facelog in this process."""
        return CliRunner().invoke(app, list(arguments), env=self.cluster.env | env)

    def start(self, arguments: list[str], **env: str) -> subprocess.Popen[str]:
        """Starts facelog as a program, in a session that it shares with a job server of its own."""
        return subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env=os.environ | self.cluster.env | {"JAVA_TOOL_OPTIONS": " ".join(QUICK_JAVA)} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def out(self, name: str) -> tuple[str, Path]:
        """A place for results: its uri, and the folder behind it."""
        return f"{self._results}/{name}", self.cluster.state / "buckets" / "results" / name

    def status(self, out: str) -> dict:
        """What `facelog status` says."""
        return json.loads(self.call("status", out, "--json").stdout)

    def jobs(self) -> list[str]:
        """Ids of all jobs that the cluster has had, the newest first."""
        jobs = self.cluster.rest("/jobs/overview")["jobs"]
        return [job["jid"] for job in sorted(jobs, key=lambda job: -job["start-time"])]

    def failures(self) -> int:
        """How often the newest job has failed and was started again."""
        return len(self.cluster.rest(f"/jobs/{self.jobs()[0]}/exceptions")["exceptionHistory"]["entries"])


def wait_for(condition: Callable[[], object], seconds: float = 400, *, every: float = 0.05) -> None:
    """Waits until a condition holds, which is asked for every so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(every)


def fragments(folder: Path) -> int:
    """Segments that are done and wait for their video's tables."""
    return len(list(folder.glob("_work/*/*/*.parquet")))


def assert_as_local(site: Site, folder: Path) -> None:
    """The tables are those of the reference, made by another run."""
    assert_same_tables(folder, site.reference)
    assert_whole(folder)
    assert statuses(folder) == {"long.mp4": "ok", "two.mp4": "ok", "two again.mp4": "ok", "bad.mp4": "corrupt"}
    run_ids = [{row["run_id"] for row in rows(out, "videos")} for out in (folder, site.reference)]
    assert run_ids[0] != run_ids[1]


@contextlib.contextmanager
def other_pool(cluster: Cluster, pool: str, *hosts: int) -> Iterator[None]:
    """Meanwhile some hosts have another worker pool; afterwards every host has ours, also where none was left."""
    ours = cluster.pool
    for host in hosts:
        cluster.stop_pool(host)
    try:
        cluster.pool = pool
        _start_pools(cluster, hosts)
        yield
    finally:
        for host in hosts:
            cluster.stop_pool(host)
        cluster.pool = ours
        running = cluster.status()
        _start_pools(cluster, [host for host in cluster.task_managers if f"pool-{host}" not in running])


def _start_pools(cluster: Cluster, hosts: Iterable[int]) -> None:
    for host in hosts:
        cluster.start_pool(host, wait=False)
    cluster.await_pools()


@contextlib.contextmanager
def store_away(cluster: Cluster, connections: int) -> Iterator[None]:
    """The S3 server is away until so many connections to it were closed unanswered."""
    cluster.stop_s3()
    host, _, port = cluster.s3_endpoint.removeprefix("http://").partition(":")
    with socket.create_server((host, int(port))) as nobody:
        nobody.settimeout(400)
        for _ in itertools.repeat(None, connections):
            nobody.accept()[0].close()
        yield
    cluster.start_s3()
