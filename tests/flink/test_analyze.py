"""facelog on a real cluster: the same tables as on one machine, whatever is lost on the way."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from deploy.flink_cluster.cluster import POOL
from tests.flink.site import Site, assert_as_local, fragments, other_pool, store_away, wait_for
from tests.tables import rows


def test_a_lost_client_and_a_lost_task_manager(site: Site) -> None:
    """The other host has Beam's own worker pool in place of ours."""
    cluster, (out, folder) = site.cluster, site.out("client")
    command = site.flink(site.archive, out, own_job_server=True)
    with other_pool(cluster, POOL, *cluster.task_managers[1:]):
        client = site.start(command)
        wait_for(lambda: fragments(folder) >= 2)
        os.killpg(client.pid, signal.SIGKILL)  # with its job server, as where its machine fails
        client.wait()
        cluster.kill_task_manager(1)  # and so the job cannot end too soon
        status = site.status(out)
        assert status["state"] == "running" and "of the cluster at" in status["holder"]
        assert 0 < status["progress"]["segments_done"] <= status["progress"]["segments"] == site.segments
        # Another command is told who is at it; the same one comes back to its job.
        other = site.call(*site.flink(f"{site.archive}/two.mp4", out))
        assert other.exit_code == 1 and "is being written by job" in other.stderr, other.output
        wait_for(site.failures, every=0.5)
        cluster.start_task_manager(1)
        again = site.call(*command)
    assert again.exit_code == 3, again.output
    assert "does this already" in again.stdout
    assert_as_local(site, folder)
    assert site.status(out)["state"] == "finished"
    # And once more: nothing is left to be done, and no job is needed to find that out.
    jobs = site.jobs()
    assert site.call(*command).exit_code == 3
    assert site.jobs() == jobs


def test_a_lost_worker_and_a_store_that_is_away(site: Site) -> None:
    out, folder = site.out("worker")

    def lose_both() -> None:
        wait_for(lambda: fragments(folder) >= 2)
        assert site.cluster.kill_python_worker(1)
        before = fragments(folder)
        wait_for(lambda: fragments(folder) > before)
        with store_away(site.cluster, connections=10):
            pass

    with ThreadPoolExecutor() as beside:
        losses = beside.submit(lose_both)
        ended = site.call(*site.flink(f"{site.archive}/long.mp4", out))
        losses.result()
    assert ended.exit_code == 0, ended.output
    (video,) = rows(folder, "videos")
    for name in ("faces", "tracks", "timeline"):
        assert rows(folder, name) == rows(site.reference, name, video_id=video["video_id"])
