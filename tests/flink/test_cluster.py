"""The test cluster is a real one: jobs run on both hosts. That they outlive what is lost is in `test_analyze.py`."""

import json
import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
import pyarrow.fs
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from deploy.flink_cluster.cluster import POOL_PORT, Cluster
from deploy.flink_cluster.flink_settings import REST_PORT
from deploy.flink_cluster.parts import CHECKOUT, default_home
from deploy.flink_cluster.processes import PROCESS_VARIABLE
from schemas import storage


def _start(cluster: Cluster, name: str, folder: str, *, count: int, seconds: float) -> PipelineResult:
    """A job that leaves files NUMBER.POOL, and "group REST" with all numbers of that remainder, sorted."""

    # Workers have no module `tests`: functions inside functions go to them by value.
    def record(number: int) -> tuple[int, int]:
        time.sleep(seconds)
        pool = os.environ[PROCESS_VARIABLE].split("/")[1]
        storage.write_bytes(f"{folder}/{number}.{pool}", b"done")
        return number % 3, number

    def write_group(group: tuple[int, Iterable[int]]) -> None:
        storage.write_bytes(f"{folder}/group {group[0]}", json.dumps(sorted(group[1])).encode())

    options = PipelineOptions(
        [],
        runner="FlinkRunner",
        flink_master=cluster.master,
        job_endpoint=cluster.job_server,
        environment_type="EXTERNAL",
        environment_config="localhost:50000",
        parallelism=2,
        sdk_worker_parallelism=3 - len(cluster.task_managers),
        job_name=name,
    )
    pipeline = beam.Pipeline(options=options)
    numbers = pipeline | beam.Create(range(count)) | beam.Reshuffle()
    groups = numbers | beam.Map(record) | beam.GroupByKey()
    _ = groups | beam.Map(write_group)
    return pipeline.run()


def _groups(folder: Path) -> dict[str, list[int]]:
    return {path.name: json.loads(path.read_text()) for path in folder.glob("group *")}


def _expected(count: int) -> dict[str, list[int]]:
    return {f"group {rest}": list(range(rest, count, 3)) for rest in range(3)}


def _s3(cluster: Cluster) -> pyarrow.fs.S3FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key=cluster.env["AWS_ACCESS_KEY_ID"],
        secret_key=cluster.env["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=cluster.s3_endpoint,
        region=cluster.env["AWS_REGION"],
    )


def test_a_job_uses_every_host_and_writes_to_s3(cluster: Cluster) -> None:
    uri = cluster.make_bucket("numbers")
    result = _start(cluster, "spread", f"{uri}/day 1/ü", count=12, seconds=0.3)
    assert result.wait_until_finish() == PipelineState.DONE
    folder = cluster.state / "buckets" / "numbers" / "day 1" / "ü"
    assert _groups(folder) == _expected(12)
    assert {path.suffix for path in folder.glob("*.*")} == {f".pool-{host}" for host in cluster.task_managers}

    (job,) = [job for job in cluster.rest("/jobs/overview")["jobs"] if job["name"] == "spread"]
    assert job["state"] == "FINISHED"
    assert _s3(cluster).get_file_info("numbers/day 1/ü/group 2").size == len("[2, 5, 8, 11]")


def test_the_s3_server_stops_and_starts(cluster: Cluster) -> None:
    """That a pool does is in `test_refused.py`."""
    (cluster.state / "buckets" / "kept").mkdir()
    names = set(cluster.status())
    cluster.stop_s3()
    assert set(cluster.status()) == names - {"s3"}
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(cluster.s3_endpoint)
    cluster.start_s3()
    assert set(cluster.status()) == names
    assert [info.path for info in _s3(cluster).get_file_info(pyarrow.fs.FileSelector("kept"))] == []


def _hollow_flink(home: Path) -> None:
    """A home whose Flink says that it has two slots, and does nothing: for the processes and the network round it."""
    for part in default_home().iterdir():
        if not part.is_symlink() and "-" in part.name and not part.name.startswith(("flink-", "tests-")):
            (home / part.name).symlink_to(part)
    (flink,) = (part.resolve() for part in default_home().iterdir() if part.name == "flink")
    hollow = home / flink.name
    (hollow / "bin").mkdir(parents=True)
    (hollow / "conf").symlink_to(flink / "conf")
    (hollow / "overview").write_text('{"slots-total": 2}')
    address = """$(sed -n 's/^rest.bind-address: "\\(.*\\)"$/\\1/p' "$FLINK_CONF_DIR/config.yaml")"""
    for name, does in {
        "jobmanager.sh": f"exec {sys.executable} -m http.server {REST_PORT} --directory {hollow} --bind {address}",
        "taskmanager.sh": "exec sleep 1000",
    }.items():
        (hollow / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (hollow / "bin" / name).chmod(0o755)


def test_down_leaves_nothing_and_spares_another_cluster(
    three_hosts: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, state = three_hosts.status(), tmp_path / "state"
    (tmp_path / "home").mkdir()
    _hollow_flink(tmp_path / "home")
    monkeypatch.setenv("FACELOG_FLINK_HOME", str(tmp_path / "home"))
    pool = shlex.join([sys.executable, "-m", "http.server", str(POOL_PORT), "--bind", "localhost"])

    def call(action: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.flink_cluster", action, "--no-s3", "--state", str(state)]
        return subprocess.run([*command, "--pool", pool], cwd=CHECKOUT, capture_output=True, text=True)

    second = Cluster(state)
    try:
        up = call("up")
        assert up.stdout.startswith(f"--flink-master={second.master}"), up.stderr
        assert set(second.status()) == {"job-manager", "pool-1", "pool-2", "task-manager-1", "task-manager-2"}
        assert "runs already" in call("up").stderr
    finally:
        down = call("down")
    assert (down.returncode, down.stderr, second.status()) == (0, "", {})
    assert not list(Path("/sys/class/net").glob(f"*{second.suffix}*"))
    assert not list(Path("/run/netns").glob(f"*{second.suffix}*"))
    assert (call("down").returncode, call("status").stdout) == (0, "nothing runs\n")
    assert three_hosts.status() == others


def test_a_missing_part_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get = CHECKOUT / "deploy" / "flink_cluster" / "get.sh"
    for program in ("dirname", "mkdir", "sed", "flock", "rm", "sh"):
        (tmp_path / program).symlink_to(
            next(p for p in (Path("/usr/bin") / program, Path("/bin") / program) if p.exists())
        )
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FACELOG_FLINK_HOME", str(tmp_path / "home"))
    done = subprocess.run([get], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "java is missing; install Java 17 (Debian: openjdk-17-jre-headless), then run this again.\n"
    assert list((tmp_path / "home").iterdir()) == [tmp_path / "home" / "get.lock"]
