"""What a run on a cluster says when a file, a host, a pool or an option is wrong."""

import shlex
from pathlib import Path

import pytest

from deploy.flink_cluster.parts import CHECKOUT
from schemas.tables import code_version
from tests.clips import portrait_clip
from tests.flink.site import Site, other_pool
from tests.runs import command
from tests.tables import rows, statuses


def test_a_file_that_ends_its_worker_fails_alone(site: Site, tmp_path: Path) -> None:
    """In a folder that all hosts share; a process that decodes the file dies, though the file itself is good."""
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    portrait_clip(archive / "good.mp4", seconds=1, moving=True, gop=10)
    portrait_clip(archive / "poison.mp4", seconds=1, gop=10)
    ended = site.call(*site.flink(archive, out, "--max-attempts", "2"))
    assert ended.exit_code == 3, ended.output
    assert statuses(out) == {"good.mp4": "ok", "poison.mp4": "failed"}
    (failed,) = rows(out, "videos", status="failed")
    assert failed["error_type"] == "worker_died" and "poison.mp4" in failed["error_message"]
    assert "2 attempts" in failed["error_message"]


def test_a_host_with_another_version_and_hosts_without_a_pool(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence ends the job, or stands in place of one."""
    other = tmp_path / "site" / "facelog-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: facelog\nVersion: 9.9\n")
    # From a folder of its own: the checkout may state a version, too, and would come first.
    path = f"{tmp_path / 'site'}:{CHECKOUT}"
    pool = shlex.join(["env", f"--chdir={tmp_path}", f"PYTHONPATH={path}", *command("worker")])
    names = set(site.cluster.status())
    with other_pool(site.cluster, pool, site.cluster.task_managers[-1]):
        ended = site.call(*site.flink(site.archive, site.out("version")[0]))
        assert ended.exit_code == 1, ended.output
        assert f"has facelog 9.9, this client has {code_version()}" in ended.stderr.replace("\n", " ")

        for host in site.cluster.task_managers:
            site.cluster.stop_pool(host)
        assert names - set(site.cluster.status()) == {f"pool-{host}" for host in site.cluster.task_managers}
        monkeypatch.setattr("pipelines.runs.on_flink._POOL_ANSWERS_WITHIN", 5.0)  # a minute, to people
        ended = site.call(*site.flink(site.archive, site.out("no pool")[0]))
        assert ended.exit_code == 1 and "no worker pool answers" in ended.stderr.replace("\n", " "), ended.output
    assert set(site.cluster.status()) == names


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
def test_what_the_client_can_see_is_said_without_a_job(
    site: Site, archive: str, out: str, env: dict[str, str], exit_status: int, said: str
) -> None:
    jobs = site.jobs()
    ended = site.call(*site.flink(archive, out), **env)
    assert ended.exit_code == exit_status and said in ended.stderr.replace("\n", " "), ended.output
    assert "Traceback" not in ended.output
    assert site.jobs() == jobs
