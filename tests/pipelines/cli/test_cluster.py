"""Cluster options of the command line: options after --, KEY=VALUE, and how a client ends without its job."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from pipelines.cli.terminal import MORE, WithMore, key_values
from pipelines.runs.bookkeeping import Summary
from pipelines.runs.on_flink import OnFlink
from schemas.errors import LeftRunningError, UsageError

Facelog = Callable[..., Result]

_MODULE = importlib.import_module("pipelines.runs.analyze_archive")


@pytest.fixture
def parse() -> Callable[..., tuple[list[str], str, list[str]]]:
    """A small command: its names, its runner, and what follows -- for the runner."""
    app, found = typer.Typer(), []

    @app.command(cls=WithMore)
    def command(context: typer.Context, names: list[str], runner: str = "local") -> None:
        found.append((names, runner, list(context.meta.get(MORE, ()))))

    def call(*arguments: str) -> tuple[list[str], str, list[str]]:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return found[-1]

    return call


@pytest.mark.parametrize("runner", ["flink", "FlinkRunner"])
@pytest.mark.parametrize("equals", [True, False])
def test_on_flink_options_of_beam_follow_two_dashes(parse: Any, runner: str, equals: bool) -> None:
    chosen = [f"--runner={runner}"] if equals else ["--runner", runner]
    assert parse("a", *chosen, "--", "--x=1", "-y") == (["a"], runner, ["--x=1", "-y"])
    assert parse(*chosen, "a", "b") == (["a", "b"], runner, [])
    assert parse("a", *chosen, "--") == (["a"], runner, [])
    assert parse("a", *chosen, "--", "--x", "--", "y")[2] == ["--x", "--", "y"]


@pytest.mark.parametrize("chosen", [[], ["--runner", "local"], ["--runner=direct"]])
def test_elsewhere_names_of_files_follow_two_dashes(parse: Any, chosen: list[str]) -> None:
    assert parse(*chosen, "a", "--", "-b.mp4", "--runner=flink")[0] == ["a", "-b.mp4", "--runner=flink"]
    assert parse(*chosen, "--", "-b.mp4")[2] == []


def test_key_values_are_split_at_the_first_sign() -> None:
    assert key_values("--o", ["a=1", "b=c=d", "e=", " f =g"]) == {"a": "1", "b": "c=d", "e": "", "f": "g"}
    assert key_values("--o", ()) == {}
    assert key_values("--o", ["a=1", "a=2"]) == {"a": "2"}


@pytest.mark.parametrize("text", ["region", "=eu-west-1", ""])
def test_a_value_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--o .*: give it as KEY=VALUE\.$"):
        key_values("--o", ["a=1", text])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("region", "--storage-options region: give it as KEY=VALUE."),
        ("regoin=eu-west-1", "regoin"),
        ("secret_key=abc", "secret_key"),
    ],
)
def test_storage_options_that_are_wrong_are_refused_before_anything_is_done(
    facelog: Facelog, tmp_path: Path, option: str, said: str
) -> None:
    for command in (
        ["analyze", tmp_path, "--emotion-model", "none", "--age-gender-model", "none", "--out"],
        ["status"],
    ):
        result = facelog(*command, tmp_path / "out", "--storage-options", option)
        assert result.exit_code == 2
        assert result.stderr.startswith("facelog: ") and said in result.stderr and "Traceback" not in result.output
        assert "abc" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keyword arguments of each call of `analyze`, which does nothing."""
    calls: list[dict[str, Any]] = []

    def analyze(inputs: Any, out: str, **options: Any) -> Summary:
        calls.append(options)
        return Summary(out)

    monkeypatch.setattr(_MODULE, "analyze", analyze)
    return calls


def analyze_there(facelog: Facelog, tmp_path: Path, *options: object) -> Result:
    bare = ("--emotion-model", "none", "--age-gender-model", "none")
    return facelog("analyze", tmp_path, "--out", tmp_path / "out", *bare, *options)


def test_what_is_said_of_a_cluster_reaches_it(facelog: Facelog, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    flags = ["--flink-version", "1.20", "--parallelism", 3, "--workers-per-host", 2, "--detach"]
    ended = analyze_there(
        facelog, tmp_path, "--runner", "flink", "--flink-master", "h:8081", *flags, "--", "--environment_config=x"
    )
    assert ended.exit_code == 0, ended.output
    (call,) = asked
    on = call["flink"]
    assert isinstance(on, OnFlink) and on.detach
    chosen = on.options
    assert (chosen.master, chosen.version, chosen.parallelism, chosen.workers_per_host) == ("h:8081", "1.20", 3, 2)
    assert chosen.more == ("--environment_config=x",)
    assert call["max_attempts"] is None


def test_storage_options_reach_the_run(facelog: Facelog, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    options = ("--storage-options", "region=eu-west-1", "--storage-options", "anonymous=true")
    try:
        assert analyze_there(facelog, tmp_path, *options).exit_code == 0
    finally:
        from schemas import storage

        storage.configure({})
    assert asked[0]["storage_options"] == {"region": "eu-west-1", "anonymous": "true"}


def test_flink_has_to_be_told_which_cluster(facelog: Facelog, tmp_path: Path) -> None:
    ended = analyze_there(facelog, tmp_path, "--runner", "flink")
    assert ended.exit_code == 2
    assert ended.stderr.startswith("facelog: ") and "--flink-master" in ended.stderr


@pytest.mark.parametrize(("wanted", "status"), [(True, 0), (False, 130)])
def test_a_client_that_leaves_its_job_says_so(
    facelog: Facelog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool, status: int
) -> None:
    def leave(*_: Any, **__: Any) -> Summary:
        raise LeftRunningError("job 17 goes on", wanted=wanted)

    monkeypatch.setattr(_MODULE, "analyze", leave)
    ended = analyze_there(facelog, tmp_path, "--runner", "flink", "--flink-master", "h:8081")
    assert (ended.exit_code, ended.stderr) == (status, "facelog: job 17 goes on\n")
