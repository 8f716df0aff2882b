"""facelog on a real cluster: the same tables as on one machine, whatever is lost on the way."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.flink_cluster.cluster import POOL, Cluster
from schemas.tables import code_version
from tests.clips import portrait_clip
from tests.tables import assert_same_tables, assert_whole, rows, statuses

_FACELOG = Path(sys.executable).with_name("facelog")
# Without models, and segments of a second: what is looked at here is who does what, and when.
_SETTINGS = ("--emotion-model", "none", "--age-gender-model", "none", "--lost-after", "0.5", "--config")


class Site:
    """An archive on the cluster's object store (and in a folder), and how facelog is called for it.

    Attributes:
      cluster: with pools that are `facelog worker`.
      archive: its uri.
      reference: folder of a local run's tables.
    """

    def __init__(self, cluster: Cluster, folder: Path):
        """Makes the archive, and analyzes it here."""
        self.cluster, self._folder = cluster, folder
        self._env = os.environ | cluster.env
        self.archive = cluster.make_bucket("archive")
        self._results = cluster.make_bucket("results")
        self.config = folder / "facelog.toml"
        self.config.write_text("[sampling]\nsegment_seconds = 1.0\n")
        bucket = cluster.state / "buckets" / "archive"
        portrait_clip(bucket / "long.mp4", seconds=24, moving=True, gop=10)
        two = portrait_clip(bucket / "two.mp4", seconds=6, size=(480, 240), faces=2, moving=True, cut_at=2.3, gop=10)
        shutil.copy(two.path, bucket / "two again.mp4")
        (bucket / "bad.mp4").write_text("no video\n")
        self.reference = folder / "reference"
        assert self.local(self.archive, self.reference).returncode == 3

    def command(self, *arguments: object) -> list[str]:
        """`facelog analyze`, with this test's settings."""
        return [str(_FACELOG), "analyze", *map(str, arguments), *_SETTINGS, str(self.config)]

    def local(self, archive: object, out: object) -> subprocess.CompletedProcess[str]:
        """A run on this machine."""
        return self.call(self.command(archive, "--out", out, "--workers", 2))

    def flink(self, archive: object, out: object, *more: str) -> list[str]:
        """The command of a run on the cluster."""
        jar = str(self.cluster.job_server_jar)
        cluster = ["--runner", "flink", "--flink-master", self.cluster.master, "--flink-job-server-jar", jar]
        return [*self.command(archive, "--out", out), *cluster, *more]

    def call(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(command, env=self._env | env, capture_output=True, text=True, timeout=900)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """Starts a command."""
        return subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def out(self, name: str) -> tuple[str, Path]:
        """A place for results: its uri, and the folder behind it."""
        return f"{self._results}/{name}", self.cluster.state / "buckets" / "results" / name

    def status(self, out: str) -> dict:
        """What `facelog status` says."""
        return json.loads(self.call([str(_FACELOG), "status", out, "--json"]).stdout)


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(cluster, tmp_path_factory.mktemp("site"))


def wait_for(condition: Callable[[], object], seconds: float = 400) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.1)


def fragments(folder: Path) -> int:
    return len(list(folder.glob("_work/*/*/*.parquet")))


def end(process: subprocess.Popen[str], exit_status: int) -> str:
    text, _ = process.communicate(timeout=900)
    assert process.returncode == exit_status, text
    return text


def assert_as_local(site: Site, folder: Path) -> None:
    assert_same_tables(folder, site.reference)
    assert_whole(folder)
    assert statuses(folder) == {"long.mp4": "ok", "two.mp4": "ok", "two again.mp4": "ok", "bad.mp4": "corrupt"}
    assert {row["run_id"] for row in rows(folder, "videos")} != {
        row["run_id"] for row in rows(site.reference, "videos")
    }


def test_a_client_that_dies_is_not_missed(site: Site) -> None:
    out, folder = site.out("client")
    client = site.start(site.flink(site.archive, out))
    wait_for(lambda: fragments(folder) >= 2)
    client.send_signal(signal.SIGKILL)
    client.wait()
    host = site.cluster.task_managers[-1]
    site.cluster.kill_task_manager(host)  # so that the job cannot end too soon
    status = site.status(out)
    assert status["state"] == "running" and "of the cluster at" in status["holder"]
    assert 0 < status["progress"]["segments_done"] <= status["progress"]["segments"] == 30
    # Another command is told who is at it; the same one comes back to its job.
    other = site.call(site.flink(f"{site.archive}/two.mp4", out))
    assert other.returncode == 1 and "is being written by job" in other.stderr, other.stderr
    site.cluster.start_task_manager(host)
    again = site.call(site.flink(site.archive, out))
    assert again.returncode == 3, again.stdout + again.stderr
    assert "does this already" in again.stdout
    assert_as_local(site, folder)
    assert site.status(out)["state"] == "finished"
    # And once more: nothing is left to be done, and no job is needed to find that out.
    begin = time.monotonic()
    assert site.call(site.flink(site.archive, out)).returncode == 3
    assert time.monotonic() - begin < 30


@pytest.fixture
def plain_pool(site: Site) -> Iterator[None]:
    """On the last host Beam's own pool in place of ours."""
    host, ours = site.cluster.task_managers[-1], site.cluster.pool
    with _other_pool(site.cluster, host, POOL, ours):
        yield


@contextlib.contextmanager
def _other_pool(cluster: Cluster, host: int, command: str, ours: str) -> Iterator[None]:
    cluster.stop_pool(host)
    cluster.pool = command
    cluster.start_pool(host)
    try:
        yield
    finally:
        cluster.stop_pool(host)
        cluster.pool = ours
        cluster.start_pool(host)


def test_a_lost_task_manager_costs_time_alone(three_hosts: Cluster, site: Site, plain_pool: None) -> None:
    out, folder = site.out("task manager")
    client = site.start(site.flink(site.archive, out))
    wait_for(lambda: fragments(folder) >= 2)
    three_hosts.kill_task_manager(1)
    time.sleep(4)
    three_hosts.start_task_manager(1)
    end(client, 3)
    assert_as_local(site, folder)


def test_a_lost_worker_and_a_store_that_is_away(site: Site) -> None:
    out, folder = site.out("worker")
    client = site.start(site.flink(site.archive, out))
    wait_for(lambda: fragments(folder) >= 2)
    assert site.cluster.kill_python_worker(1)
    before = fragments(folder)
    wait_for(lambda: fragments(folder) > before)
    site.cluster.stop_s3()
    time.sleep(10)
    site.cluster.start_s3()
    end(client, 3)
    assert_as_local(site, folder)


_POISON = """
import os, sys

def end_with_the_file(event, arguments):
    if event == "open" and str(arguments[0]).endswith("poison.mp4"):
        frame = sys._getframe()
        while frame := frame.f_back:
            if frame.f_code.co_filename.endswith("decode_frames.py"):
                os.kill(os.getpid(), 9)

sys.addaudithook(end_with_the_file)
"""


def test_a_file_that_ends_its_worker_fails_alone(site: Site, tmp_path: Path) -> None:
    """In a folder that all hosts share; the file's content is as good as any, but what opens it to decode it dies."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(_POISON)
    archive = tmp_path / "archive"
    archive.mkdir()
    portrait_clip(archive / "good.mp4", seconds=3, moving=True, gop=10)
    portrait_clip(archive / "poison.mp4", seconds=1, gop=10)
    reference = site.call(site.command(archive, "--out", tmp_path / "local"), PYTHONPATH=str(tmp_path / "hook"))
    assert reference.returncode == 3, reference.stdout + reference.stderr
    pool = f"env PYTHONPATH={tmp_path / 'hook'} {site.cluster.pool}"
    with contextlib.ExitStack() as stack:
        for host in site.cluster.task_managers:
            stack.enter_context(_other_pool(site.cluster, host, pool, site.cluster.pool))
        command = site.flink(archive, tmp_path / "out", "--max-attempts", "2")
        ended = site.call(command)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    for out in (tmp_path / "out", tmp_path / "local"):
        assert statuses(out) == {"good.mp4": "ok", "poison.mp4": "failed"}
        (failed,) = rows(out, "videos", status="failed")
        assert failed["error_type"] == "worker_died" and "poison.mp4" in failed["error_message"]
    assert "2 attempts" in rows(tmp_path / "out", "videos", status="failed")[0]["error_message"]


def test_a_host_with_another_version_ends_the_job_with_a_sentence(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "site" / "facelog-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: facelog\nVersion: 9.9\n")
    host, ours = site.cluster.task_managers[-1], site.cluster.pool
    with _other_pool(site.cluster, host, f"env PYTHONPATH={tmp_path / 'site'} {ours}", ours):
        ended = site.call(site.flink(site.archive, site.out("version")[0]))
    assert ended.returncode == 1, ended.stdout
    assert f"has facelog 9.9, this client has {code_version()}" in ended.stderr.replace("\n", " ")


def test_no_worker_pool(site: Site) -> None:
    for host in site.cluster.task_managers:
        site.cluster.stop_pool(host)
    try:
        ended = site.call(site.flink(site.archive, site.out("no pool")[0]))
    finally:
        for host in site.cluster.task_managers:
            site.cluster.start_pool(host)
    assert ended.returncode == 1 and "no worker pool answers" in ended.stderr.replace("\n", " "), ended.stderr


@pytest.mark.parametrize(
    ("archive", "out", "env", "exit_status", "said"),
    [
        ("s3://archive", "s3://nowhere/out", {}, 1, "there is no such bucket"),
        ("s3://nowhere", "s3://results/wrong", {}, 1, "there is no such bucket"),
        ("s3://archive", "s3://results/wrong", {"AWS_SECRET_ACCESS_KEY": "wrong"}, 1, "access is denied"),
        ("s3://archive", "s3://results/wrong", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 1, "cannot be reached"),
        ("s3://archive/nothing.mp4", "s3://results/wrong", {}, 2, "nothing.mp4"),
    ],
)
def test_what_the_client_can_see_is_said_in_seconds(
    site: Site, archive: str, out: str, env: dict[str, str], exit_status: int, said: str
) -> None:
    begin = time.monotonic()
    ended = site.call(site.flink(archive, out), **env)
    assert ended.returncode == exit_status and said in ended.stderr.replace("\n", " "), ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - begin < 40
