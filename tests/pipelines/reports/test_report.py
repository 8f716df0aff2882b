"""`facelog report`: contents of pages and documents, no loading from a network, and which pages are made again."""

import html
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from typer.testing import Result

from pipelines import report as exported
from pipelines.reports.content import VideoReport
from pipelines.reports.pages import CARDS_SHOWN, video_page
from pipelines.reports.report import Reports, report
from schemas.errors import StorageError, UsageError
from schemas.layout import Layout, page_name
from schemas.storage import local
from schemas.tables import OWN_COLUMNS, VIDEOS
from tests.made_tables import feeling, write_failure, write_video
from tests.pipelines.reports.conftest import BREAKING, COPY, CROWD, EMPTY, HOSTILE, TALK

Facelog = Callable[..., Result]


def document(pages: Path, start: str) -> dict[str, Any]:
    (path,) = [path for path in pages.glob("*.json") if path.name.startswith(start)]
    return json.loads(path.read_bytes())


def page(pages: Path, start: str) -> str:
    (path,) = [path for path in pages.glob("*.html") if path.name.startswith(start)]
    return path.read_text("utf-8")


def words(text: str) -> str:
    """What a reader sees of a page, without markup."""
    text = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.DOTALL)
    text = re.sub(r"</?b>", "", text)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def names(folder: Path, ending: str = "html") -> set[str]:
    return {path.name.removesuffix(f".{ending}") for path in folder.glob(f"*.{ending}")}


def test_is_exported_as_a_function() -> None:
    assert exported is report


def test_each_content_has_a_page_and_a_document(pages: Path) -> None:
    assert len(names(pages)) == 8  # index, talk with its copy, hostile, breaking, two of one name, crowd, empty
    assert names(pages) == names(pages, "json") - {"pages"}
    stems = sorted(re.sub(r"-[0-9a-f]{10}$", "", name) for name in names(pages))
    assert stems == ["crowd", "empty", "img_src_x_onerror_alert_1", "index", "same", "same", "script", "talk"]
    assert len(list((pages / "assets").iterdir())) == 3
    assert all(path.stat().st_size < 200_000 for path in pages.glob("*.html"))  # the chart library is in none


def test_a_page_is_its_document_rendered(pages: Path) -> None:
    for path in pages.glob("*-*.json"):
        assert video_page(VideoReport.from_json(path.read_bytes())) == path.with_suffix(".html").read_bytes()


def test_a_document_says_what_the_tables_say(pages: Path) -> None:
    talk = document(pages, "talk-")
    assert talk["uris"] == [TALK, COPY]
    assert (talk["facts"]["status"], talk["facts"]["codec"], talk["facts"]["face_seconds"]) == ("partial", "h264", 17)
    tracks = [(track["track_id"], track["start"], track["end"]) for track in talk["tracks"]]
    assert tracks == [(1, 1.0, 8.75), (0, 0.0, 5.75), (2, 6.0, 8.75)]
    assert talk["tracks"][1]["emotions"]["happy"] == pytest.approx((4 * 0.7 + 2 * 0.05) / 6, abs=1e-3)
    assert talk["tracks"][0]["age"]["years"] == 61.0
    assert talk["tracks"][0]["gender"] == {"label": "unknown", "female": 0.55}
    (person,) = talk["persons"]
    assert (person["tracks"], person["face_seconds"], person["gender"]["label"]) == ([0, 2], 9, "female")
    assert person["emotions"]["happy"] == pytest.approx((7 * 0.7 + 2 * 0.05) / 9, abs=1e-3)
    assert [lane["label"] for lane in talk["timeline"]["lanes"]] == ["Person 0", "Track 1"]
    assert [(shot["start"], shot["end"]) for shot in talk["shots"]] == [(0, 6), (6, 10), (10, 12)]
    assert talk["unreadable"] == [{"start": 10.0, "end": 12.0}]
    assert talk["face_seconds_by_emotion"] == {"happy": 7, "sad": 2, "neutral": 8}
    assert [model["attributes"] for model in talk["models"]] == [["emotion"], ["age", "gender"]]
    assert talk["absent"] == [] and all(model["limits"] for model in talk["models"])
    assert sum(talk["counts"]["mean"]) == 17


def test_a_page_shows_facts_figures_and_their_limits(pages: Path) -> None:
    text = words(page(pages, "talk-"))
    for said in (
        "talk.mp4 /videos read in part 1.0 MB · 640 × 360 · h264 · 25 frames a second",
        "recorded 2026-01-02 03:04:05 UTC",
        "places that are damaged and were passed over: 1",
        "What to do: The rest was analyzed.",
        "12.0 s of video",
        "1 person",
        "17 face-seconds",
        "Track 1 0:00:01 – 0:00:08.8",
        "Age 61 years, 80 %: 55 to 67",
        "unknown, likelier female (55 %)",
        "0:00:10 to 0:00:12",
        COPY,
        "faces found in whole pictures",
        "It names the expression on a face, not what a person feels.",
        "Do not decide about a single person by them.",
        "Detected in all of its 32 samples",
    ):
        assert said in text, said


def test_the_index_has_failures_first_with_reason_and_advice(pages: Path) -> None:
    text = page(pages, "index")
    seen = words(text)
    problems = seen[seen.index("The worst come first") : seen.index("What was found")]
    order = [problems.index(name) for name in ("<b>gone.mp4", "bad.mp4", "talk.mp4", "song.mp3")]
    assert order == sorted(order)
    for said in ("does not exist.", "facelog prune", "does not open.", "ffmpeg -i FILE NEW.mp4", "--exclude"):
        assert said in problems
    index = document(pages, "index")
    assert [video["status"] for video in index["videos"]][:3] == ["failed", "corrupt", "partial"]
    assert index["statuses"] == {"ok": 6, "partial": 2, "no_video": 1, "corrupt": 1, "failed": 1}
    assert [video["uri"] for video in index["videos"] if video["page"] is None] == [
        "/videos/<b>gone.mp4",
        "/videos/bad.mp4",
        "/videos/song.mp3",
    ]
    links = set(re.findall(r'<th scope="row"[^>]*><a href="([^"]*)\.html"', text))
    assert links == names(pages) - {"index"}


def test_the_archives_figures_count_copies_once(pages: Path) -> None:
    index = document(pages, "index")
    crowd = sum(3 + i % 4 for i in range(40))
    assert index["n_videos"] == 7 and len(index["videos"]) == 11
    assert index["face_seconds"] == 17 + 4 * 3 + crowd == sum(index["figures"]["emotions"]["seconds"].values())
    assert index["video_seconds"] == 12 + 5 * 10 + 100
    assert sum(index["figures"]["faces"]["seconds"].values()) == 162
    assert index["figures"]["ages"]["seconds"] == {"30–39": 9 + 12 + crowd, "40–49": 0, "50–59": 0, "60–69": 8}
    assert index["figures"]["genders"]["tracks"] == {"female": 2 + 4 + 40, "unknown": 1}
    assert sum(index["figures"]["emotions"]["expected"].values()) == pytest.approx(index["face_seconds"], rel=0.01)
    assert index["figures"]["age_interval"] == pytest.approx(2 * 1.2816 * 5, abs=0.1)


def test_hostile_names_are_text(pages: Path) -> None:
    for name in names(pages):
        text = page(pages, name)
        assert "<img" not in text and "<b>gone" not in text and "<script>alert" not in text
        scripts = re.findall(r"<script\b[^>]*>(.*?)</script>", text, re.DOTALL)
        assert len(scripts) == text.count("<script") == text.count("</script>")
        assert all("<" not in script for script in scripts)
    assert html.escape(HOSTILE.rpartition("/")[2]) in page(pages, "index") and "&lt;/script&gt;" in page(pages, "index")
    assert words(page(pages, "img_src")).startswith("<img src=x onerror=alert(1)>.mp4 · facelog")
    assert document(pages, "script-")["uris"] == [BREAKING]


def test_nothing_is_loaded_from_elsewhere(pages: Path) -> None:
    ours = [*pages.glob("*.html"), pages / "assets" / "report.css", pages / "assets" / "report.js"]
    for path in ours:
        text = path.read_text("utf-8")
        addresses = re.findall(r"""(?:src|href|srcset|action|data|poster)\s*=\s*["']?([^"'\s>]*)""", text)
        addresses += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)|fetch\(([^)]*)\)", text)
        flat = [part for found in addresses for part in ([found] if isinstance(found, str) else found)]
        assert not [address for address in flat if re.match(r"\s*['\"]?(https?:|//)", address)], path
        assert not re.search(r"https?://", re.sub(r"<(dd|li|p|td)\b.*?</\1>", "", text)), path
    local_files = {address for address in re.findall(r'(?:src|href)="([^"#]+)"', page(pages, "talk-"))}
    assert {a for a in local_files if not a.startswith("data:")} <= {
        "index.html",
        *(f"assets/{path.name}" for path in (pages / "assets").iterdir()),
    }


def test_many_tracks_have_some_cards_and_a_table(pages: Path) -> None:
    text = page(pages, "crowd-")
    assert text.count('<article class="card" id="track-') == CARDS_SHOWN
    assert "All 40 tracks as a table" in text
    figure = json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[0])
    assert len(figure["layout"]["yaxis"]["ticktext"]) < 40
    assert sum(len(trace["y"]) for trace in figure["data"] if trace.get("meta") == "lanes") == 40


def test_a_video_without_faces_says_so(pages: Path) -> None:
    text = page(pages, "empty-")
    assert "No face was found in 40 samples. Faces smaller than 40 pixels" in words(text)
    assert "plotly" not in text and "No cut was seen." in text


def test_nulls_are_unknown_and_models_that_were_not_used_absent(tmp_path: Path) -> None:
    out = tmp_path / "out"
    nothing = dict.fromkeys(("age", "age_std", "gender_female"), float("nan"))
    columns = feeling(0, 0.0, ["happy"] * 2, **nothing)
    columns |= {name: columns["age"] for name in columns if name.startswith("emotion_")}
    known = {"uri", "video_id", "status", "n_tracks", "config_hash", "algorithm_version", *OWN_COLUMNS}
    nulls: dict[str, Any] = dict.fromkeys(set(VIDEOS.names) - known)
    write_video(out, tracks=[columns], **nulls)
    report(str(out), as_json=True)
    found = document(out / "reports", "clip-")
    assert found["absent"] == ["emotion", "age", "gender"] and found["models"] == []
    (track,) = found["tracks"]
    assert (track["emotion"], track["emotions"], track["age"], track["gender"]) == (None, {}, None, None)
    assert found["face_seconds_by_emotion"] == {"unknown": 2}
    text = words(page(out / "reports", "clip-"))
    assert text.count("no model was used") == 2
    assert "No model was used for emotion, age, gender" in text
    for fact in ("Duration", "Size", "Picture", "Rotation", "Rate", "Codec", "Container", "Recorded"):
        assert f"{fact} unknown" in text
    assert not re.search(r"\b(None|nan|NaN|undefined)\b", text)
    assert words(page(out / "reports", "index")).count("No model was used.") == 3


def test_only_what_changed_is_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a", "b", "c"):
        write_video(out, f"/v/{name}.mp4", [feeling(0, 0.0, ["happy"])])
    assert counts(report(str(out))) == (3, 0)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "reports").glob("?-*.html")}
    assert counts(report(str(out))) == (0, 3)
    write_video(out, "/v/b.mp4", [feeling(0, 0.0, ["sad"] * 2)])
    assert counts(report(str(out))) == (1, 2)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "reports").glob("?-*.html")}
    assert {name[0] for name in after if after[name] != before[name]} == {"b"}
    (out / "reports" / next(name for name in after if name.startswith("c"))).unlink()
    assert counts(report(str(out))) == (1, 2)
    assert counts(report(str(out), as_json=True)) == (3, 0)  # documents that are not there yet
    assert counts(report(str(out), as_json=True)) == (0, 3)
    (out / "reports" / "pages.json").write_text("[")
    assert counts(report(str(out))) == (3, 0)
    assert names(out / "reports", "json") == {"index", "pages"}  # documents would not fit their pages any more


def counts(done: Reports) -> tuple[int, int]:
    return done.written, done.unchanged


def test_pages_of_videos_that_are_gone_go_and_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a", "b"):
        write_video(out, f"/v/{name}.mp4")
    report(str(out), as_json=True)
    (out / "reports" / "mine.html").write_text("a note of mine")
    os.unlink(Layout(str(out)).ledger("/v/b.mp4"))
    report(str(out), as_json=True)
    assert {name[0] for name in names(out / "reports")} == {"a", "i", "m"}
    assert {name[0] for name in names(out / "reports", "json")} == {"a", "i", "p"}


def test_a_call_that_is_interrupted_leaves_nothing_that_counts_as_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_video(out, "/v/a.mp4")
    report(str(out))
    open_output = local.open_output

    def fails(path: str) -> Any:
        if "/a-" in path:
            raise OSError(28, "No space left on device")
        return open_output(path)

    monkeypatch.setattr(local, "open_output", fails)
    with pytest.raises(StorageError, match="no space left"):
        report(str(out), as_json=True)
    monkeypatch.undo()
    assert counts(report(str(out))) == (1, 0)


def test_some_videos_are_chosen_by_uri_or_id(results: Path, tmp_path: Path) -> None:
    talk = next(p for p in (results / "tracks").rglob("*.parquet") if p.stem.startswith(_id_of(results, TALK)))
    done = report(str(results), to=str(tmp_path), videos=[COPY, _id_of(results, CROWD)[:8].upper()])
    assert counts(done) == (2, 0) and talk.exists()
    assert {name.split("-")[0] for name in names(tmp_path)} == {"talk", "crowd", "index"}
    assert re.findall(r'<th scope="row"[^>]*><a href="(\w+)-', page(tmp_path, "index")) == ["talk", "talk", "crowd"]


def _id_of(results: Path, uri: str) -> str:
    import pyarrow.parquet as pq

    return pq.read_table(Layout(str(results)).ledger(uri)).to_pylist()[0]["video_id"]


@pytest.mark.parametrize(
    ("video", "said"),
    [
        ("/videos/no.mp4", "has no file of this uri, name or id"),
        ("12", "has no file of this uri, name or id"),
        ("/videos/bad.mp4", "it has no tables; its status is corrupt: /videos/bad.mp4 does not open."),
    ],
)
def test_a_video_that_has_no_page_cannot_be_chosen(results: Path, tmp_path: Path, video: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        report(str(results), to=str(tmp_path / "r"), videos=[video])
    assert not (tmp_path / "r").exists()


def test_a_video_whose_tables_are_gone_or_damaged_costs_its_page_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    gone, damaged = (write_video(out, f"/v/{name}.mp4") for name in ("gone", "damaged"))
    write_video(out, "/v/good.mp4")
    os.unlink(Layout(str(out)).table("tracks", gone))
    done = report(str(out))
    assert set(done.without_tables) == {"/v/gone.mp4"}
    Path(Layout(str(out)).table("tracks", damaged)).write_bytes(b"PAR1")
    done = report(str(out))
    assert set(done.without_tables) == {"/v/gone.mp4", "/v/damaged.mp4"} and done.unchanged == 1
    text = words(page(out / "reports", "index"))
    assert "Figures over the archive are left out: a table cannot be read" in text
    assert "is damaged; to have that video analyzed again" in text and "The tables of /v/gone.mp4 are not there" in text
    assert {name.split("-")[0] for name in names(out / "reports")} == {"good", "index"}


@pytest.mark.parametrize(
    ("uri", "start"),
    [
        ("/v/Ein Vortrag (1).mp4", "Ein_Vortrag_1-"),
        ("/v/講演.mov", "講演-"),
        ("/v/.hidden", "hidden-"),
        ("/v/-leading.mp4", "leading-"),
        ("/v/" + "x" * 300 + ".mp4", "x" * 60 + "-"),
        ("s3://b/a%20b.mp4", "a_20b-"),
        ("/v/???.mp4", "video-"),
        ("/v/CON.mp4", "CON-"),
    ],
)
def test_names_of_pages_are_safe(uri: str, start: str) -> None:
    assert page_name(uri, "3f" + "0" * 30) == f"{start}3f00000000"


def test_people_are_told_where_to_look(facelog: Facelog, results: Path, tmp_path: Path) -> None:
    said = facelog("report", results, "--out", tmp_path / "r", "--video", EMPTY)
    assert said.exit_code == 0
    assert said.stdout.splitlines() == ["1 page written", f"open {tmp_path}/r/index.html"]
    again = facelog("report", results, "--out", tmp_path / "r", "--video", EMPTY)
    assert again.stdout.splitlines()[0] == "0 pages written, 1 unchanged"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--blur"], "--blur pixelates thumbnails: give --thumbnails with it."),
        (["--storage-options", "region"], "--storage-options region: give it as KEY=VALUE."),
    ],
)
def test_wrong_calls_are_explained(facelog: Facelog, results: Path, options: list[str], said: str) -> None:
    done = facelog("report", results, *options)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"facelog: {said}\n")


def test_a_folder_without_results_stays_as_it_is(facelog: Facelog, tmp_path: Path) -> None:
    done = facelog("report", tmp_path / "nothing")
    assert done.exit_code == 2 and "holds no results of facelog" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_an_archive_of_failures_alone_has_an_index(tmp_path: Path) -> None:
    write_failure(tmp_path, "/v/a.mp4", "failed", "worker_died", "it died")
    assert counts(report(str(tmp_path))) == (0, 0)
    text = words(page(tmp_path / "reports", "index"))
    assert "it died What to do: Run the same command again with --retry-failed" in text
    assert "What was found" not in text


def test_templates_escape_whatever_they_are_given() -> None:
    from pipelines.reports import pages as module

    environment = module.environment()
    assert environment.autoescape is True and environment.undefined is jinja2.StrictUndefined
    sources = [p.read_text("utf-8") for p in (Path(module.__file__).parent / "templates").iterdir()]
    assert not [s for s in sources if re.search(r"\|\s*safe\b|autoescape false|Markup", s)]


def test_results_on_an_object_store(s3_bucket: str, results: Path) -> None:
    from schemas import storage

    for path in results.rglob("*.parquet"):
        storage.write_bytes(f"{s3_bucket}/out/{path.relative_to(results)}", path.read_bytes())
    done = report(f"{s3_bucket}/out")
    assert counts(done) == (7, 0) and done.index == f"{s3_bucket}/out/reports/index.html"
    assert b"What was found" in storage.read_bytes(done.index)
    assert counts(report(f"{s3_bucket}/out")) == (0, 7)
    shutil.rmtree(results / "reports", ignore_errors=True)
