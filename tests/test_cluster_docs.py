"""docs/cluster.md against deploy/ and the code; its commands and links are in `tests/test_docs.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runners.flink.worker_pool import PORT

_ROOT = Path(__file__).parents[1]
_PAGE = (_ROOT / "docs" / "cluster.md").read_text("utf-8")
_PREFLIGHT = ("preflight", "_check_java", "_check_job_server", "_restarts", "_request", "_get", "overview")


def _given(command: str) -> dict[str, str]:
    """Flink's settings in a call of one of its scripts."""
    call = re.search(rf"^(?:\w+=\S+ )?{re.escape(command)} start ((?:.*\\\n)*.*)$", _PAGE, re.MULTILINE)
    assert call, command
    return dict(re.findall(r"-D ([\w.-]+)=(\S+)", call[1]))


def _deployed(role: str) -> dict[str, str]:
    text = yaml.safe_load((_ROOT / "deploy" / "kubernetes" / "config.yaml").read_text("utf-8"))["data"][role]
    return {key: str(value).replace(" ", "") for key, value in yaml.load(text, Loader=yaml.BaseLoader).items()}


@pytest.mark.parametrize(
    ("command", "role"), [("bin/jobmanager.sh", "job-manager"), ("bin/taskmanager.sh", "task-manager")]
)
def test_flink_is_set_up_as_in_deploy(command: str, role: str) -> None:
    given, deployed = _given(command), _deployed(role)
    assert given.pop("jobmanager.rpc.address") == "JM" and deployed.pop("jobmanager.rpc.address")
    if options := deployed.pop("env.java.opts.taskmanager", None):  # Flink's scripts take it from the environment
        assert f"FLINK_ENV_JAVA_OPTS_TM={options} {command} start" in _PAGE
    assert set(deployed) <= set(given)
    assert {key: given[key] for key in deployed} == deployed


def test_the_table_of_settings_has_these_values() -> None:
    rows = dict(re.findall(r"^\| `([\w.-]+\.[\w.-]+)` \| `?(.*?)`? \|", _PAGE, re.MULTILINE))
    deployed = _deployed("job-manager") | {"taskmanager.memory.process.size": "2048m"}
    del deployed["jobmanager.rpc.address"]
    assert {key: rows[key].replace(" ", "") for key in deployed} == deployed
    assert _deployed("task-manager")["taskmanager.memory.process.size"] == "2048m"


def _texts(tree: ast.AST) -> Iterator[str]:
    """The texts in a piece of code, with … for what is put into them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _tree(name: str) -> ast.Module:
    return ast.parse((_ROOT / name).read_text("utf-8"))


def _sentences() -> list[list[str]]:
    """What the page's tables quote, each as its pieces between the dots."""
    cells = re.findall(r"^\| (`.*?`) \| (?!`)", _PAGE.partition("## What it says before it starts")[2], re.MULTILINE)
    return [[part.strip() for part in text.split("…") if part.strip()] for cell in cells for text in _quoted(cell)]


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _is_in(pieces: list[str], text: str) -> bool:
    return re.search(".*".join(map(re.escape, pieces)), text, re.DOTALL) is not None


def test_what_it_says_is_said() -> None:
    names = [f"runners/{name}.py" for name in ("flink/submit", "flink/rest", "options", "lease", "lock")]
    names += ["pipelines/runs/on_flink.py", "pipelines/runs/analyze_archive.py", "transforms/job/check_host.py"]
    said = [text for name in names for text in _texts(_tree(name))]
    sentences = _sentences()
    assert len(sentences) > 20
    assert not [pieces for pieces in sentences if not any(_is_in(pieces, text) for text in said)]


@pytest.mark.parametrize(
    ("name", "functions", "kind"),
    [
        ("runners/flink/submit.py", _PREFLIGHT, ast.Raise),
        ("runners/flink/rest.py", ("_get",), ast.Raise),
        ("transforms/job/check_host.py", ("_what_is_wrong", "check_host"), ast.Return),
    ],
)
def test_all_that_it_says_is_explained(name: str, functions: tuple[str, ...], kind: type[ast.AST]) -> None:
    bodies = [node for node in ast.walk(_tree(name)) if isinstance(node, ast.FunctionDef) and node.name in functions]
    ends = [node for body in bodies for node in ast.walk(body) if isinstance(node, kind)]
    texts = [max(_texts(node), key=len, default="") for node in ends]
    # Of those about Java the beginning is in a variable.
    texts = [text for text in texts if text and not text.startswith("…, and")]
    assert texts
    assert not [text for text in texts if not any(_is_in(pieces, text) for pieces in _sentences())]


def test_versions_and_ports() -> None:
    import apache_beam
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    assert {f"localhost:{PORT}"} == set(re.findall(r"localhost:5\d+", _PAGE))
    assert f"(with Beam {apache_beam.__version__.rpartition('.')[0]}: " in _PAGE
    assert ", ".join(FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS) in _PAGE
    assert set(re.findall(r"2\.\d\d\.\d", _PAGE)) == {apache_beam.__version__}
