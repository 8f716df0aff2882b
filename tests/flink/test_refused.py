"""What a run on a cluster says when a file, a host, a pool or an option is wrong."""

from pathlib import Path

import pytest

from schemas.tables import code_version
from tests.clips import portrait_clip
from tests.flink.site import Site, no_pool, other_pool
from tests.tables import rows, statuses

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


def test_a_file_that_ends_its_worker_fails_alone(site: Site, tmp_path: Path) -> None:
    """In a folder that all hosts share; a process that decodes the file dies, though the file itself is good."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(_POISON)
    archive = tmp_path / "archive"
    archive.mkdir()
    portrait_clip(archive / "good.mp4", seconds=3, moving=True, gop=10)
    portrait_clip(archive / "poison.mp4", seconds=1, gop=10)
    reference = ["analyze", *site.settings(archive, tmp_path / "local"), "--workers", "1"]
    local = site.start(reference, PYTHONPATH=str(tmp_path / "hook"))
    with other_pool(
        site.cluster, f"env PYTHONPATH={tmp_path / 'hook'} {site.cluster.pool}", *site.cluster.task_managers
    ):
        ended = site.call(*site.flink(archive, tmp_path / "out", "--max-attempts", "2"))
    assert ended.exit_code == 3, ended.output
    assert local.wait(timeout=400) == 3
    for out in (tmp_path / "out", tmp_path / "local"):
        assert statuses(out) == {"good.mp4": "ok", "poison.mp4": "failed"}
        (failed,) = rows(out, "videos", status="failed")
        assert failed["error_type"] == "worker_died" and "poison.mp4" in failed["error_message"]
    assert "2 attempts" in rows(tmp_path / "out", "videos", status="failed")[0]["error_message"]


def test_a_host_with_another_version_ends_the_job_with_a_sentence(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "site" / "facelog-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: facelog\nVersion: 9.9\n")
    # From a folder of its own: the checkout may state a version, too, and would come first.
    pool = f"env --chdir={tmp_path} PYTHONPATH={tmp_path / 'site'} {site.cluster.pool}"
    with other_pool(site.cluster, pool, site.cluster.task_managers[-1]):
        ended = site.call(*site.flink(site.archive, site.out("version")[0]))
    assert ended.exit_code == 1, ended.output
    assert f"has facelog 9.9, this client has {code_version()}" in ended.stderr.replace("\n", " ")


def test_no_worker_pool(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.runs.on_flink._POOL_ANSWERS_WITHIN", 5.0)  # a minute, to people
    with no_pool(site.cluster):
        ended = site.call(*site.flink(site.archive, site.out("no pool")[0]))
    assert ended.exit_code == 1 and "no worker pool answers" in ended.stderr.replace("\n", " "), ended.output


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
