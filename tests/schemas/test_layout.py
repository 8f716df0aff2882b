"""Where things lie."""

import hashlib

from schemas.layout import Layout

LAYOUT = Layout("/out", "abc")
ID = "3f" + "0" * 30


def test_tables_lie_in_the_bucket_of_their_own_name():
    assert LAYOUT.table("faces", ID) == f"/out/faces/bucket=3f/{ID}.parquet"
    assert LAYOUT.observations(ID) == f"/out/observations/bucket=3f/{ID}"


def test_a_row_is_named_by_the_uri():
    uri = "s3://archive/a b%20ü.mp4"
    name = hashlib.sha256(uri.encode("utf-8")).hexdigest()[:32]

    assert LAYOUT.ledger(uri) == f"/out/videos/bucket={name[:2]}/{name}.parquet"


def test_all_unfinished_business_is_under_the_configuration():
    assert LAYOUT.fragment(ID, 7) == f"/out/_work/abc/{ID}/00007.parquet"
    assert LAYOUT.fragment_part(ID, 7, 1) == f"/out/_work/abc/{ID}/00007.001.parquet"
    assert LAYOUT.failure(ID, 7) == f"/out/_work/abc/{ID}/00007.failed.json"
    assert LAYOUT.plan("/v/a.mp4").startswith("/out/_work/abc/plans/")


def test_videos_with_unfinished_business_are_found(tmp_path):
    layout = Layout(str(tmp_path), "abc")
    assert layout.ids_in_work() == set()
    for name in (layout.fragment(ID, 0), layout.failure("ab", 1), layout.plan("/v/a.mp4")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert layout.ids_in_work() == {ID, "ab"}


def test_an_object_store_is_named_the_same_way():
    assert Layout("s3://b/out/", "abc").table("tracks", ID) == f"s3://b/out/tracks/bucket=3f/{ID}.parquet"
