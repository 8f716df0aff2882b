"""A real Flink cluster with an S3 server and a job server, once for each test process."""

import fcntl
import itertools
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.flink_cluster.cluster import QUICK_JAVA, Cluster
from deploy.flink_cluster.network import why_no_namespaces
from deploy.flink_cluster.parts import CHECKOUT, ClusterError, default_home, get_parts
from tests.flink.site import Site
from tests.runs import command

_FOLDER = Path(__file__).parent
_SOON = {"heartbeat.interval": "1000"}
"""A lost task manager is missed after two heartbeats."""

_POISON = """
import os

from transforms import decode_frames

decode_segment = decode_frames.decode_segment

def end_with_the_file(segment, config):
    if segment.file.uri.endswith("poison.mp4"):
        os.kill(os.getpid(), 9)
    return decode_segment(segment, config)

decode_frames.decode_segment = end_with_the_file
"""
"""Imported by all that our pools start: a process that decodes a file of that name dies."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Marks these tests, for `pytest -m flink`; pytest-xdist runs them in one process (see `tests/conftest.py`)."""
    for item in items:
        if item.path.is_relative_to(_FOLDER):
            for mark in (pytest.mark.flink, pytest.mark.multiprocess, pytest.mark.slow):
                item.add_marker(mark)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(1800))  # the first one also gets the parts and starts the cluster


@pytest.fixture(scope="session")
def flink_parts() -> None:
    """Flink, the job server and the S3 server are there; gets them the first time, which takes minutes."""
    try:
        get_parts()
    except ClusterError as error:
        pytest.skip(f"no Flink cluster here: {error}")


@pytest.fixture(scope="session")
def cluster(flink_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three hosts with root, else one. Their pools are `facelog worker`, and a file called poison.mp4 ends workers."""
    hook = tmp_path_factory.mktemp("hook")
    (hook / "sitecustomize.py").write_text(_POISON)
    pool = shlex.join(["env", f"PYTHONPATH={hook}:{CHECKOUT}", *command("worker")])
    hosts = 1 if why_no_namespaces() else 3
    for number in itertools.count():
        folder = default_home() / f"tests-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another test process has that folder
                continue
            cluster = Cluster(folder, hosts=hosts, pool=pool, java_options=QUICK_JAVA, settings=_SOON)
            cluster.down()  # what a killed test process has left
            with cluster:
                cluster.start_job_server()
                yield cluster
            return


@pytest.fixture
def three_hosts(cluster: Cluster) -> Cluster:
    """A cluster of which one task manager can be lost."""
    if cluster.hosts < 3:
        pytest.skip(f"needs three hosts: {why_no_namespaces()}")
    return cluster


@pytest.fixture(scope="session")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An archive on the cluster's object store."""
    return Site(cluster, tmp_path_factory.mktemp("site"))
