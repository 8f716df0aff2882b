"""Measures what losses cost a job on Flink: the same run undisturbed, and with one thing killed in the middle of it.

    python -m benchmarks.flink_losses

It makes a cluster on this machine (see deploy/flink_cluster) and an archive on it. On a machine that does other work
only the ratios mean something.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deploy.flink_cluster.cluster import Cluster
from deploy.flink_cluster.network import why_no_namespaces
from tests.flink.site import Site, assert_as_local, fragments, wait_for


def main() -> None:
    """Runs each case and prints a line for it."""
    pool = f"{Path(sys.executable).with_name('facelog')} worker"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(Cluster(folder / "cluster", hosts=1 if why_no_namespaces() else 3, pool=pool))
        site = Site(cluster, folder)
        whole = _seconds(site, "first", None)
        print(f"first run                                   {whole:6.1f} s", flush=True)
        whole = _seconds(site, "undisturbed", None)
        print(f"undisturbed                                 {whole:6.1f} s", flush=True)
        for name, loss in _losses(cluster).items():
            seconds = _seconds(site, name.replace(" ", "-"), loss)
            print(f"{name:40}    {seconds:6.1f} s  {seconds - whole:+6.1f} s", flush=True)


def _losses(cluster: Cluster) -> dict[str, Callable[[], object]]:
    host = cluster.task_managers[-1]

    def task_manager() -> None:
        cluster.kill_task_manager(host)
        time.sleep(4)
        cluster.start_task_manager(host)

    def store() -> None:
        cluster.stop_s3()
        time.sleep(10)
        cluster.start_s3()

    return {
        "a Python worker killed": lambda: cluster.kill_python_worker(host),
        "a task manager away for 4 s": task_manager,
        "the store away for 10 s": store,
    }


def _seconds(site: Site, name: str, loss: Callable[[], object] | None) -> float:
    """Seconds of a run whose loss comes after two segments; its tables must equal those of an undisturbed run."""
    out, folder = site.out(name)
    begun = time.monotonic()
    client = site.start(site.flink(site.archive, out, own_job_server=True))
    if loss is not None:
        wait_for(lambda: fragments(folder) >= 2)
        loss()
    client.communicate()
    seconds = time.monotonic() - begun
    assert client.returncode == 3, f"{name}: exit status {client.returncode}"
    assert_as_local(site, folder)
    return seconds


if __name__ == "__main__":
    main()
