"""`facelog query`: answers as tables, csv, JSON and Parquet, the prompt, and what goes wrong."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import Result

import pipelines
from pipelines.queries.examples import EXAMPLES, Example, overview
from pipelines.queries.query import ask, query
from pipelines.queries.shell import Shell, is_complete
from pipelines.queries.table import show
from pipelines.results.database import connect
from schemas.errors import UsageError
from tests.kept_results import make_results
from tests.runs import ROOT, command, made_once

Facelog = Callable[..., Result]

_SQL_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "query", lambda folder: make_results(folder / "out")) / "out"


def test_from_python_it_is_a_table(out: Path) -> None:
    found = pipelines.query(str(out), "SELECT track_id, count(*) AS seconds FROM faces GROUP BY 1 ORDER BY 1")
    assert isinstance(found, pa.Table)
    assert found.to_pydict() == {"track_id": [0, 1], "seconds": [8, 4]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.question)
def test_every_example_answers(out: Path, example: Example) -> None:
    assert query(str(out), example.sql).num_rows > 0, example.question


def test_what_the_examples_say(out: Path) -> None:
    smiles, several, ages, unread, seen = (query(str(out), example.sql).to_pylist() for example in EXAMPLES)
    assert {"uri": "/videos/talk.mp4", "track_id": 0, "from_second": 0, "seconds": 8, "happy": 0.7} in smiles
    assert [row["second"] for row in several if row["uri"] == "/videos/talk.mp4"] == [5, 6, 7]
    assert [(row["tracks"], row["age"], row["error_of_one"]) for row in ages] == [(2, 40.0, 5.0)] * 2
    assert [(row["uri"], row["status"]) for row in unread] == [("/videos/broken.mp4", "corrupt")]
    shares = {(row["uri"], row["gender"]): row["share_of_seconds"] for row in seen}
    assert shares[("/videos/talk.mp4", "female")] == 0.8 and shares[("/videos/talk.mp4", "male")] == 0.4


def test_every_question_of_the_docs_answers(out: Path) -> None:
    questions = _SQL_BLOCK.findall((ROOT / "docs/queries.md").read_text("utf-8"))
    assert len(questions) >= 4
    for sql in questions:
        query(str(out), sql)


def test_a_table_is_cut_and_says_so(facelog: Facelog, out: Path) -> None:
    said = facelog("query", out, "SELECT second, NULL AS n FROM timeline ORDER BY 1", "--max-rows", 3)
    assert said.exit_code == 0
    lines = [line.strip() for line in said.stdout.splitlines()]
    assert lines[0].split() == ["second", "n"] and lines[2].split() == ["0", "NULL"]
    assert lines[-1] == "20 rows, 17 more than are shown: --max-rows 0 shows all"
    assert len(lines) == 2 + 3 + 2
    everything = facelog("query", out, "FROM timeline", "--max-rows", 0).stdout
    assert everything.splitlines()[-1] == "20 rows"


def test_a_table_fits_the_terminal(out: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None, legacy_windows=False)
    text = show(ask(connect(str(out)), "FROM faces"), console, max_rows=5)
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert "video_id" in text and "bucket" in text and "…" in text
    assert re.search(r"12 rows, 7 more than are shown.*\d+ of 50 columns do not fit", text)


def test_a_name_cannot_command_the_terminal(facelog: Facelog, out: Path) -> None:
    said = facelog("query", out, r"SELECT 'a' || chr(27) || '[2J' AS name, '[red]b' AS other")
    assert "\x1b" not in said.stdout and r"a\x1b[2J" in said.stdout and "[red]b" in said.stdout


def test_csv_on_standard_output(facelog: Facelog, out: Path) -> None:
    sql = "SELECT 0.1::FLOAT AS f, NULL AS n, 'a,\"b\"\nc' AS s, [1.5, 2] AS l, 'é' AS f"
    said = facelog("query", out, sql, "--format", "csv")
    assert list(csv.reader(io.StringIO(said.stdout, newline=""))) == [
        ["f", "n", "s", "l", "f_1"],
        ["0.1", "", 'a,"b"\nc', "[1.5, 2.0]", "é"],
    ]


def test_json_is_one_document(facelog: Facelog, out: Path) -> None:
    sql = "SELECT 0.1::FLOAT AS f, 'nan'::DOUBLE AS n, sum(2) AS s, DATE '2026-01-02' AS d, {'a': [1, NULL]} AS l"
    said = facelog("query", out, sql, "--format", "json")
    assert json.loads(said.stdout) == [{"f": 0.1, "n": None, "s": 2, "d": "2026-01-02", "l": {"a": [1, None]}}]
    assert facelog("query", out, "FROM faces WHERE false", "--format", "json").stdout == "[]\n"
    many = json.loads(facelog("query", out, "SELECT i FROM range(25000) t(i)", "--format", "json").stdout)
    assert [row["i"] for row in many] == list(range(25000))


def test_json_has_times_and_blobs_that_python_has_not(facelog: Facelog, out: Path) -> None:
    sql = r"""SELECT 'infinity'::TIMESTAMP AS a, '-infinity'::TIMESTAMPTZ AS b, 'infinity'::DATE AS c,
        TIMESTAMP '2026-01-02 03:04:05' AS d, TIMESTAMP '20000-01-02 03:04:05' AS e, DATE '0044-03-15 (BC)' AS f,
        '\x00a\xFF'::BLOB AS g, ['infinity'::TIMESTAMP, NULL] AS h, {'x': '\x01'::BLOB, 't': 'infinity'::DATE} AS i,
        INTERVAL '1 day 90 seconds' AS j
        UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"""
    first, nothing = json.loads(facelog("query", out, sql, "--format", "json").stdout)
    assert first == {
        "a": "infinity",
        "b": "-infinity",
        "c": "infinity",
        "d": "2026-01-02T03:04:05",
        "e": "20000-01-02T03:04:05.000000",
        "f": "-0043-03-15",
        "g": r"\x00a\xFF",
        "h": ["infinity", None],
        "i": {"x": r"\x01", "t": "infinity"},
        "j": "P0M1DT90S",
    }
    assert set(nothing.values()) == {None}


@pytest.mark.parametrize("name", ["a.csv", "a.JSON", "a.parquet", "deep/er/a.pq"])
def test_the_ending_says_the_format(facelog: Facelog, out: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    said = facelog("query", out, "SELECT track_id, age FROM tracks ORDER BY 1", "--out", file)
    assert said.exit_code == 0 and said.stdout == f"2 rows in {file}\n"
    if "csv" in name:
        assert file.read_text() == "track_id,age\n0,30.0\n1,50.0\n"
    elif "JSON" in name:
        assert json.loads(file.read_text()) == [{"track_id": 0, "age": 30.0}, {"track_id": 1, "age": 50.0}]
    else:
        table = pq.read_table(file)
        assert table.to_pydict() == {"track_id": [0, 1], "age": [30.0, 50.0]} and table.schema.field(1).type == "float"


def test_an_empty_answer_is_a_file_too(facelog: Facelog, out: Path, tmp_path: Path) -> None:
    facelog("query", out, "SELECT age FROM tracks WHERE false", "--out", tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").names == ["age"]


def test_an_error_on_the_way_leaves_no_file(facelog: Facelog, out: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    sql = "SELECT CASE WHEN i = 90000 THEN 'x' ELSE '1' END::INT AS a FROM range(100000) t(i)"
    said = facelog("query", out, sql, "--out", tmp_path / "a.csv")
    assert said.exit_code == 2 and said.stderr.startswith("facelog: Conversion Error: Could not convert string 'x'")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"] and (tmp_path / "a.csv").read_text() == "old"


def test_questions_from_standard_input_and_from_a_file(facelog: Facelog, out: Path, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("-- how many?\nSELECT count(*) AS n FROM videos;\n")
    for said in (
        facelog("query", out, "-", "--format", "csv", input="SELECT count(*) AS n\nFROM videos"),
        facelog("query", out, "--file", tmp_path / "q.sql", "--format", "csv"),
    ):
        assert said.stdout == "n\n4\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["SELECT emotoin FROM faces"], 'Referenced column "emotoin" not found.*\n.*"emotion"'),
        (["SELECT 1 +"], "Parser Error: syntax error.*\nLINE 1: SELECT 1 \\+\n +\\^"),
        (["FROM face"], 'Table with name face does not exist!\nDid you mean "faces"'),
        (["  "], "There is no question in it"),
        (["SELECT 1", "--file", "q.sql"], "not both"),
        (["--file", "none.sql"], "--file none.sql cannot be read: No such file"),
        (["SELECT 1", "--out", "a.txt"], "--out a.txt: name the file .csv, .json or .parquet"),
        (["SELECT 1", "--format", "parquet"], "--out FILE"),
        (["SELECT 1", "--format", "table", "--out", "a.csv"], "A table is for the terminal"),
        (["--format", "csv"], "There is no question"),
        (["SELECT 1", "--storage-options", "region"], "give it as KEY=VALUE"),
    ],
)
def test_wrong_calls(facelog: Facelog, out: Path, arguments: list[str], sentence: str) -> None:
    said = facelog("query", out, *arguments)
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith("facelog: ") and re.search(sentence, said.stderr), said.stderr


def test_a_folder_without_results(facelog: Facelog, tmp_path: Path) -> None:
    assert facelog("query", tmp_path, "SELECT 1").exit_code == 2
    with pytest.raises(UsageError, match="holds no results"):
        query(str(tmp_path), "SELECT 1")


def test_without_a_question_it_says_what_can_be_asked(facelog: Facelog, out: Path) -> None:
    said = facelog("query", out)
    assert said.exit_code == 0
    connection = connect(str(out))
    columns = {
        n: list(zip(v.columns, map(str, v.types), strict=True)) for n in ("faces",) for v in [connection.table(n)]
    }
    assert overview(columns).splitlines()[1:4] == said.stdout.splitlines()[1:4]
    for example in EXAMPLES:
        assert f"-- {example.question}\n{example.sql}" in said.stdout
    assert ask(connection, said.stdout).columns[0] == "uri"  # all of it is SQL


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT 1 -- ;", False),
        ("SELECT ';';", True),
        ("-- only", False),
    ],
)
def test_where_a_statement_ends(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


def typed(out: Path, *lines: str | type[BaseException]) -> str:
    """What the prompt says to these lines; Ctrl-D follows."""
    feed: Iterator[str | type[BaseException]] = iter(lines)
    prompts = []

    def read(prompt: str) -> str:
        prompts.append(prompt)
        line = next(feed, EOFError)
        if isinstance(line, str):
            return line
        raise line

    console = Console(file=io.StringIO(), width=100)
    Shell(connect(str(out)), console, max_rows=40, read=read).run()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return text + "".join(prompts)


def test_the_prompt(out: Path) -> None:
    said = typed(out, "SELECT count(*)", "AS n", "FROM faces;", "")
    assert re.search(r"n\n\s*─+\n\s*12\n\n1 row\n", said)
    assert said.endswith("facelog>    ...>    ...> facelog> facelog> ")
    assert "faces\ntracks\ntimeline\nvideos\n" in typed(out, ".tables")
    assert re.search(r"track_id +INTEGER", typed(out, ".schema faces"))
    assert EXAMPLES[3].sql in typed(out, ".examples")
    assert typed(out, ".quit", ".tables").count("facelog> ") == 1
    assert ".examples" in typed(out, ".what")


def test_the_prompt_outlives_errors_and_what_is_given_up(out: Path) -> None:
    said = typed(out, "SELECT x;", "SELECT 1 AS", KeyboardInterrupt, "SELECT 'still here';")
    assert 'Referenced column "x"' in said and "still here" in said
    assert "Traceback" not in said


@pytest.mark.multiprocess
def test_ctrl_c_cancels_a_question_and_ctrl_d_leaves(out: Path, tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        command("query", out),
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        wait_for(main, r"facelog> ")
        os.write(main, b"SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b;\n")
        time.sleep(1)  # no sign says that DuckDB is at work; too early a Ctrl-C would pass as well
        process.send_signal(signal.SIGINT)
        wait_for(main, r"cancelled\r\nfacelog> ")
        os.write(main, b"SELECT 6 * 7 AS answer;\n")
        wait_for(main, r"42(?s:.)*facelog> ")  # Ctrl-D before the prompt is not one
        os.write(main, b"\x04")
        assert process.wait(30) == 0
        assert "answer" in (tmp_path / "facelog" / "query_history").read_text()
    finally:
        process.kill()
        os.close(main)


def wait_for(terminal: int, pattern: str) -> None:
    seen = b""
    while not re.search(pattern.encode(), seen):
        seen += os.read(terminal, 1024)


@pytest.mark.multiprocess
@pytest.mark.parametrize(("form", "n"), [("csv", 200_000), ("json", 200_000), ("table", 10_000)])
def test_a_reader_that_has_seen_enough(out: Path, form: str, n: int) -> None:
    sql = f"SELECT i FROM range({n}) t(i)"  # more than a pipe holds
    process = subprocess.Popen(
        command("query", out, sql, "--format", form, "--max-rows", 0),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )
    assert process.stdout and process.stderr
    process.stdout.read(1)
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (0, b"")
    process.stderr.close()


def test_help_is_fast() -> None:
    late = "('duckdb', 'pyarrow', 'cv2', 'apache_beam')"
    code = f"import sys, pipelines.cli.main; print([m for m in {late} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert said.stdout == "[]\n", said.stderr
