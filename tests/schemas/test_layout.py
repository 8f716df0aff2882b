"""Names and places of the files in DIR."""

import hashlib
import re
from pathlib import Path

from schemas.layout import Layout, fragment_file

ROOT = Path(__file__).parents[2]

LAYOUT = Layout("/out")
WORK = LAYOUT.work_of("abc")
JOB = LAYOUT.job("run-1")
ID = "3f" + "0" * 30


def test_tables_lie_in_the_bucket_of_their_own_name():
    assert LAYOUT.table("faces", ID) == f"/out/faces/bucket=3f/{ID}.parquet"
    assert LAYOUT.observations(ID) == f"/out/observations/bucket=3f/{ID}"


def test_a_row_is_named_by_the_uri():
    uri = "s3://archive/a b%20ü.mp4"
    name = hashlib.sha256(uri.encode("utf-8")).hexdigest()[:32]

    assert LAYOUT.ledger(uri) == f"/out/videos/bucket={name[:2]}/{name}.parquet"


def test_unfinished_work_is_under_the_configuration():
    assert WORK.fragment(ID, 7) == f"/out/_work/abc/{ID}/00007.parquet"
    assert WORK.fragment_part(ID, 7, 1) == f"/out/_work/abc/{ID}/00007.001.parquet"
    assert WORK.failure(ID, 7) == f"/out/_work/abc/{ID}/00007.failed.json"
    assert WORK.plan("/v/a.mp4").startswith("/out/_work/abc/plans/")


def test_videos_with_unfinished_work_are_found(tmp_path):
    work = Layout(str(tmp_path)).work_of("abc")
    assert work.video_ids() == set()
    for name in (work.fragment(ID, 0), work.failure("ab", 1), work.plan("/v/a.mp4")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert work.video_ids() == {ID, "ab"}


def test_an_object_store_is_named_the_same_way():
    assert Layout("s3://b/out/").table("tracks", ID) == f"s3://b/out/tracks/bucket=3f/{ID}.parquet"


def test_kept_observations_have_the_names_that_they_had_as_fragments():
    assert fragment_file(LAYOUT.observations(ID), 7) == f"/out/observations/bucket=3f/{ID}/00007.parquet"
    assert fragment_file(WORK.video(ID), 7, 1) == WORK.fragment_part(ID, 7, 1)


def test_files_that_every_run_shares():
    names = (LAYOUT.lock, LAYOUT.lease, LAYOUT.run, LAYOUT.ledger_copy)
    assert names == tuple(f"/out/_work/{name}" for name in ("lock", "lease.json", "run.json", "ledger.parquet"))
    assert LAYOUT.page_states == "/out/reports/pages.json"


def test_files_of_a_job_are_in_its_folder():
    assert JOB.folder == "/out/_work/jobs/run-1"
    assert JOB.files(3) == "/out/_work/jobs/run-1/files/000003.json"
    assert JOB.attempts(ID, 7) == f"/out/_work/jobs/run-1/attempts/{ID}/00007.json"
    assert JOB.probe_attempts("/v/a.mp4").startswith("/out/_work/jobs/run-1/attempts/probes/")
    assert JOB.host("b-2", 17) == "/out/_work/jobs/run-1/hosts/b-2-17.json"


def test_no_other_module_spells_out_names_in_work():
    folders = ("models", "pipelines", "runners", "schemas", "training", "transforms")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "layout.py"]
    spelled = re.compile(r'"(_work|lease\.json|run\.json|ledger\.parquet|refused\.json|known\.json|pages\.json)"')
    # The shards of `facelog prepare` have a `_work` of their own.
    found = {path.name for path in files if spelled.search(path.read_text("utf-8"))}
    assert found == {"cut_shards.py"}
