"""facelog on a real cluster: the same tables as on one machine, whatever is lost on the way."""

import os
import signal

from deploy.flink_cluster.cluster import POOL, Cluster
from tests.flink.site import Site, assert_as_local, end, fragments, other_pool, store_away, wait_for


def test_a_client_that_dies_is_not_missed(site: Site) -> None:
    out, folder = site.out("client")
    command = site.flink(site.archive, out, own_job_server=True)
    client = site.start(command)
    wait_for(lambda: fragments(folder) >= 2)
    os.killpg(client.pid, signal.SIGKILL)  # with its job server, as where its machine fails
    client.wait()
    host = site.cluster.task_managers[-1]
    site.cluster.kill_task_manager(host)  # so that the job cannot end too soon
    status = site.status(out)
    assert status["state"] == "running" and "of the cluster at" in status["holder"]
    assert 0 < status["progress"]["segments_done"] <= status["progress"]["segments"] == site.segments
    # Another command is told who is at it; the same one comes back to its job.
    other = site.call(*site.flink(f"{site.archive}/two.mp4", out))
    assert other.exit_code == 1 and "is being written by job" in other.stderr, other.output
    site.cluster.start_task_manager(host)
    again = site.call(*command)
    assert again.exit_code == 3, again.output
    assert "does this already" in again.stdout
    assert_as_local(site, folder)
    assert site.status(out)["state"] == "finished"
    # And once more: nothing is left to be done, and no job is needed to find that out.
    jobs = site.jobs()
    assert site.call(*command).exit_code == 3
    assert site.jobs() == jobs


def test_a_lost_task_manager_costs_time_alone(three_hosts: Cluster, site: Site) -> None:
    """The other host has Beam's own worker pool in place of ours."""
    out, folder = site.out("task manager")
    with other_pool(three_hosts, POOL, 2):
        client = site.start(site.flink(site.archive, out))
        wait_for(lambda: fragments(folder) >= 2)
        three_hosts.kill_task_manager(1)
        wait_for(site.failures, every=0.5)
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
    with store_away(site.cluster, connections=10):
        pass
    end(client, 3)
    assert_as_local(site, folder)
