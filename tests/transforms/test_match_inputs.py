import io
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.fs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import storage
from schemas.errors import UsageError
from schemas.storage import FileInfo
from tests.odd_clips import still
from transforms import media
from transforms.match_inputs import Matched, PassedOver, _match_parts, match_inputs

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Archive:
    """A folder to put files into and to match from."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, *names: str, age: float = 1e6) -> None:
        """Files without content (their endings count), modified `age` seconds before `NOW`."""
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, ((NOW.timestamp() - age),) * 2)

    def match(self, *inputs: str, out: str = "/nowhere", lines: str = "", **options) -> Matched:
        return match_inputs(inputs, out=out, stdin=io.StringIO(lines), now=NOW, **options)

    def names(self, files: Sequence[FileInfo]) -> list[str]:
        return [os.path.relpath(file.uri, self.root) for file in files]


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Archive:
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return Archive(tmp_path)


class TestFiles:
    def test_a_file_named_outright_counts_whatever_it_is(self, archive):
        archive.put("a.mp4", "notes.txt", ".hidden", "._a.mp4", "out/b.mp4")
        os.mkfifo("pipe")
        names = ["._a.mp4", ".hidden", "a.mp4", "notes.txt", "out/b.mp4", "pipe"]
        matched = archive.match(*reversed(names), out="out", settle=1e9)
        assert archive.names(matched.files) == names
        assert matched.files[2] == FileInfo(f"{archive.root}/a.mp4", 0, NOW - timedelta(seconds=1e6))
        assert matched.files[-1].size_bytes is None
        assert not matched.passed_over and not matched.missing

    def test_each_counts_once(self, archive):
        archive.put("a.mp4", "b/c.mp4")
        uri = f"file://{archive.root}/a.mp4"
        matched = archive.match("a.mp4", "./a.mp4", "b/../a.mp4", uri, "*.mp4", ".", "b", "-", lines="a.mp4\n")
        assert archive.names(matched.files) == ["a.mp4", "b/c.mp4"]
        assert not matched.passed_over

    def test_names_with_spaces_newlines_dashes_and_glob_characters(self, archive):
        names = ["-x.mp4", "a b.mp4", "a\nb.mp4", "[1].mp4", "what?.mp4", "*.mp4", "ü 視頻.mp4"]
        archive.put(*names, "1.mp4")
        for name in names:
            assert archive.names(archive.match(name).files) == [name]

    @pytest.mark.parametrize("name", ["nothing.mp4", "folder/nothing", "dangling.mp4", "http://example.org/a.mp4"])
    def test_a_missing_one_is_a_mistake_in_the_call(self, archive, name):
        archive.put("there.mp4")
        Path("dangling.mp4").symlink_to("nothing")
        with pytest.raises(UsageError, match=name):
            archive.match("there.mp4", name)

    def test_no_input_at_all(self, archive):
        with pytest.raises(UsageError, match="no INPUT"):
            archive.match()
        with pytest.raises(UsageError, match="an INPUT is empty"):
            archive.match("")

    def test_a_name_that_no_table_can_hold_is_reported_readably(self, archive):
        name = os.fsdecode(b"\xff.mp4")
        try:
            archive.put(name, "a.mp4")
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        for inputs in ([name], ["."], ["*.mp4"]):
            matched = archive.match(*inputs)
            (uri,) = matched.missing
            assert uri == f"{archive.root}/\\xff.mp4"
            assert "UTF-8" in matched.missing[uri]
            assert name not in archive.names(matched.files)


class TestFolders:
    def test_endings_or_content_count(self, archive, portrait):
        archive.put("a.mp4", "deep/er/B.MOV", "c.jpg", "notes.txt", "empty", "deep/data.parquet")
        shutil.copy(portrait.path, "VID_0001")
        still(archive.root / "x.png").path.rename("deep/picture.bin")
        matched = archive.match(".")
        assert archive.names(matched.files) == ["VID_0001", "a.mp4", "c.jpg", "deep/er/B.MOV", "deep/picture.bin"]
        assert matched.passed_over == {PassedOver.NOT_MEDIA: 3}

    def test_what_is_known_is_not_opened_again(self, archive, portrait, monkeypatch):
        shutil.copy(portrait.path, "VID_0001")
        archive.put("a.mp4")
        known = {file.uri for file in archive.match(".").files}
        monkeypatch.setattr(media, "open_media", None)
        assert {file.uri for file in archive.match(".", known=known).files} == known

    def test_the_output_folder_is_passed_over(self, archive):
        archive.put("a.mp4", "out/videos/b.mp4", "out.mp4", "outer/c.mp4")
        Path("link").symlink_to("out")
        for inputs in (["."], ["*"], ["a.mp4", "out.mp4", "outer", "out", "out/videos"], [".", "out/*"]):
            matched = archive.match(*inputs, out="out/")
            assert archive.names(matched.files) == ["a.mp4", "out.mp4", "outer/c.mp4"]
            assert matched.passed_over[PassedOver.OUTPUT] >= 1
        assert archive.match(".", out="out").passed_over == {PassedOver.OUTPUT: 2}  # itself and the link

    def test_the_output_folder_by_another_name(self, archive):
        archive.put("archive/a.mp4", "archive/out/b.mp4")
        Path("link").symlink_to("archive")
        assert archive.names(archive.match("archive", out="link/out").files) == ["archive/a.mp4"]
        assert archive.names(archive.match("link", out="archive/out").files) == ["link/a.mp4"]

    def test_hidden_files_and_folders_are_passed_over(self, archive):
        archive.put(".top/a.mp4", "b/.a.mp4", "b/._c.mp4", "b/c.mp4", "b/.git/d.mp4")
        matched = archive.match("b", ".top")
        assert archive.names(matched.files) == [".top/a.mp4", "b/c.mp4"]
        assert matched.passed_over == {PassedOver.HIDDEN: 3}

    def test_loops_end_and_what_is_reached_twice_counts_once(self, archive):
        archive.put("b/c/x.mp4", "far/y.mp4")
        Path("b/c/loop").symlink_to("..")
        Path("b/a.mp4").symlink_to("c/x.mp4")
        Path("b/far").symlink_to("../far")
        matched = archive.match("b")
        assert archive.names(matched.files) == ["b/c/x.mp4", "b/far/y.mp4"]
        assert matched.passed_over == {PassedOver.TWICE: 1}
        assert archive.names(archive.match("b", "far").files) == ["b/c/x.mp4", "far/y.mp4"]
        assert archive.names(archive.match("b", "b/a.mp4").files) == ["b/a.mp4", "b/far/y.mp4"]

    def test_a_broken_link_counts_by_its_ending(self, archive):
        Path("a.mp4").symlink_to("nothing")
        Path("b").symlink_to("nothing_else")
        matched = archive.match(".")
        assert matched.files == [FileInfo(f"{archive.root}/a.mp4", None, None)]
        assert matched.passed_over == {PassedOver.NOT_MEDIA: 1}

    def test_an_unreadable_folder_is_counted_and_said(self, archive, monkeypatch):
        archive.put("a/x.mp4", "b/x.mp4")
        scandir = os.scandir

        def guarded(path):  # permissions would not hold root back
            if path.endswith("/a"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)
        matched = archive.match(".")
        assert archive.names(matched.files) == ["b/x.mp4"]
        assert matched.passed_over == {PassedOver.UNREADABLE: 1}
        assert matched.warnings == [f"not searched: {archive.root}/a: Permission denied"]


class TestGlobs:
    def test_globs_are_expanded_and_their_files_always_count(self, archive):
        archive.put("a.mp4", "b.txt", "c/d.mp4", "c/e/f.mp4", ".h.mp4")
        assert archive.names(archive.match("*").files) == ["a.mp4", "b.txt", "c/d.mp4", "c/e/f.mp4"]
        assert archive.names(archive.match("[ab].*").files) == ["a.mp4", "b.txt"]
        assert archive.names(archive.match("**/*.mp4").files) == ["a.mp4", "c/d.mp4", "c/e/f.mp4"]
        assert archive.names(archive.match("c/?/f.*").files) == ["c/e/f.mp4"]

    def test_a_folder_that_looks_like_a_pattern_is_that_folder(self, archive):
        archive.put("[2019]/a.mp4", "2/b.mp4")
        assert archive.names(archive.match("[2019]/*.mp4").files) == ["[2019]/a.mp4"]
        assert archive.names(archive.match("[2019]").files) == ["[2019]/a.mp4"]

    def test_one_that_matches_nothing_is_a_mistake_in_the_call(self, archive):
        archive.put("a.mp4")
        with pytest.raises(UsageError, match=r"\*\.mkv: nothing matches"):
            archive.match("a.mp4", "*.mkv")

    @given(st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4))
    def test_names_match_themselves_and_two_stars(self, names):
        assert _match_parts(names, names)
        assert _match_parts(names, ["**"])
        assert _match_parts(["x", *names], ["**", *names])
        assert not _match_parts(names, [*names, "*"])


class TestLists:
    def test_lines_are_names(self, archive):
        archive.put("a.mp4", "b c.txt", " d.mp4", "e\x85f.mp4", "g/h.mp4", "[1].mp4")
        matched = archive.match("-", lines="\ufeffa.mp4\n\n  \nb c.txt\r\n d.mp4\ne\x85f.mp4\ng\n[1].mp4")
        assert archive.names(matched.files) == sorted(
            [" d.mp4", "[1].mp4", "a.mp4", "b c.txt", "e\x85f.mp4", "g/h.mp4"]
        )
        assert not matched.missing

    def test_missing_lines_become_failed_rows(self, archive):
        archive.put("a.mp4")
        matched = archive.match("-", lines="a.mp4\nnothing.mp4\n*.mkv\nftp://x/y.mp4\n")
        assert archive.names(matched.files) == ["a.mp4"]
        assert list(matched.missing) == [f"{archive.root}/nothing.mp4", f"{archive.root}/*.mkv", "ftp://x/y.mp4"]
        assert "does not exist" in matched.missing[f"{archive.root}/nothing.mp4"]

    def test_names_between_nul_may_hold_newlines(self, archive):
        archive.put("a\nb.mp4", "c.mp4")
        assert archive.names(archive.match("-", lines="a\nb.mp4\0c.mp4\0").files) == ["a\nb.mp4", "c.mp4"]

    def test_bytes_that_are_no_text(self, archive):
        archive.put("a.mp4")
        stdin = io.TextIOWrapper(io.BytesIO(b"a.mp4\n\xff.mp4\n"))
        matched = match_inputs(["-"], out="/nowhere", stdin=stdin)
        assert archive.names(matched.files) == ["a.mp4"]
        assert list(matched.missing) == [f"{archive.root}/\\xff.mp4"]


class TestFilters:
    @pytest.mark.parametrize("pattern", ["*.avi", "trash", "*/trash/*", "b*"])
    def test_exclude_matches_names_and_paths(self, archive, pattern):
        archive.put("a.mp4", "trash/b.avi")
        for inputs in (["."], ["**/*.mp4", "trash"], ["a.mp4", "trash/b.avi"]):
            if pattern == "trash" and "trash/b.avi" in inputs:
                continue  # a folder's name is not the file's
            matched = archive.match(*inputs, exclude=["*.x", pattern])
            assert archive.names(matched.files) == ["a.mp4"]
            assert matched.passed_over == {PassedOver.EXCLUDED: 1}, inputs

    def test_settle_holds_for_what_is_found_in_folders(self, archive):
        archive.put("old.mp4", age=60)
        archive.put("new.mp4", age=59)
        archive.put("ahead.mp4", age=-3)
        archive.put("next_year.mp4", age=-1e7)
        matched = archive.match(".", settle=60)
        assert archive.names(matched.files) == ["next_year.mp4", "old.mp4"]
        assert matched.passed_over == {PassedOver.UNSETTLED: 2}
        for inputs in (["new.mp4", "."], ["n*.mp4", "."]):
            assert f"{archive.root}/new.mp4" in {file.uri for file in archive.match(*inputs, settle=60).files}
        assert len(archive.match(".").files) == 4

    def test_newer_than(self, archive):
        archive.put("old.mp4", age=60)
        archive.put("new.mp4", age=59)
        matched = archive.match(".", newer_than=NOW - timedelta(seconds=60))
        assert archive.names(matched.files) == ["new.mp4"]
        assert matched.passed_over == {PassedOver.OLDER: 1}

    def test_limit_takes_the_first_by_name(self, archive):
        archive.put("b.mp4", "a.mp4", "c/d.mp4")
        matched = archive.match("c", "b.mp4", "a.mp4", limit=2)
        assert archive.names(matched.files) == ["a.mp4", "b.mp4"]
        assert matched.passed_over == {PassedOver.LIMIT: 1}
        assert archive.match(".", limit=3).passed_over == {}


class TestRemote:
    @pytest.fixture
    def bucket(self, archive, monkeypatch) -> str:
        """A pretended bucket with the archive's files."""
        files = pyarrow.fs.SubTreeFileSystem(str(archive.root), pyarrow.fs.LocalFileSystem())
        monkeypatch.setattr(storage.remote, "connect", lambda *_: (files, "/"))
        archive.put("a.mp4", "b.txt", "day 1/c.mp4", "day 1/.d.mp4", "day 2/e.mp4", "out/videos/f.mp4")
        return "gs://bucket"

    @pytest.mark.parametrize(
        ("inputs", "expected"),
        [
            (["gs://bucket/a.mp4"], ["a.mp4"]),
            (["gs://bucket"], ["a.mp4", "day 1/c.mp4", "day 2/e.mp4"]),
            (["gs://bucket/day 1/"], ["day 1/c.mp4"]),
            (["gs://bucket/*.*"], ["a.mp4", "b.txt"]),
            (["gs://bucket/day*"], ["day 1/c.mp4", "day 2/e.mp4"]),
            (["gs://bucket/**/*.mp4"], ["a.mp4", "day 1/c.mp4", "day 2/e.mp4"]),
        ],
    )
    def test_files_folders_and_globs(self, archive, bucket, inputs, expected):
        matched = archive.match(*inputs, out=f"{bucket}/out")
        assert [file.uri for file in matched.files] == [f"{bucket}/{name}" for name in expected]

    @pytest.mark.parametrize("name", ["nothing.mp4", "*.mkv"])
    def test_missing(self, archive, bucket, name):
        with pytest.raises(UsageError, match="bucket/"):
            archive.match(f"{bucket}/{name}")
        assert list(archive.match("-", lines=f"{bucket}/{name}").missing) == [f"{bucket}/{name}"]

    def test_what_a_folder_lists_is_not_asked_for_again(self, archive, bucket, monkeypatch):
        monkeypatch.setattr(storage, "stat", lambda uri: pytest.fail(f"asked for {uri}"))
        assert len(archive.match(bucket, out=f"{bucket}/out").files) == 3


def test_the_sample_archive(shared_videos):
    matched = match_inputs([str(shared_videos)], out="/nowhere")
    expected = sorted(str(path) for path in shared_videos.glob("*/*"))
    assert [file.uri for file in matched.files] == expected
    assert matched.passed_over == {PassedOver.NOT_MEDIA: 1}  # MANIFEST.tsv


def test_source_code_in_a_folder_is_no_media(tmp_path: Path) -> None:
    texts = {
        "main.ts": "export const a: number = 1;\n",
        "module.mts": "// é\n",
        "go.mod": "module example.com/m\n",
        "note.au": "#!/bin/sh\n",
        "board.dts": "/dts-v1/;\n",
        "script.nut": "local a = 1\n",
        "german.ts": '<?xml version="1.0" encoding="utf-8"?>\n<TS version="2.1"/>\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "utf16.ts").write_bytes("let a = 1".encode("utf-16"))
    (tmp_path / "damaged.ts").write_bytes(b"\x47\x00\x11" + bytes(range(256)))
    (tmp_path / "page.mp4").write_text("<html>404</html>")
    matched = match_inputs([str(tmp_path)], out=str(tmp_path / "out"))
    assert [Path(file.uri).name for file in matched.files] == ["damaged.ts", "page.mp4"]
    assert matched.passed_over == {PassedOver.NOT_MEDIA: 8}
    # A file that is named gets its row in any case.
    assert len(match_inputs([str(tmp_path / "main.ts")], out=str(tmp_path / "out")).files) == 1


def test_a_name_that_cannot_be_held_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    Path(bad).write_bytes(b"x")
    ((name, reason),) = match_inputs([str(tmp_path)], out=str(tmp_path / "out")).missing.items()
    assert name == f"{tmp_path}/caf\\xe9.mp4"
    assert reason == f"{name}: its name is no valid UTF-8, so no table can hold it; rename the file"
    Path(bad).unlink()
    # As Python reads a right name where the locale is Latin-1.
    (tmp_path / "café.mp4").write_bytes(b"x")
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("latin-1"))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    found = [FileInfo(f"{tmp_path}/cafÃ©.mp4", 1, None)]
    monkeypatch.setattr("transforms.match_inputs.storage.list_files", lambda *_, **__: iter(found))
    ((name, reason),) = match_inputs([str(tmp_path)], out=str(tmp_path / "out")).missing.items()
    assert name == f"{tmp_path}/café.mp4"
    assert reason.startswith(f"{name}: this process reads names as iso8859-1") and "PYTHONUTF8=1" in reason
