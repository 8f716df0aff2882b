"""Imports run downwards only, as docs/architecture.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]

# Folder → the other folders of ours that it may import.
_MAY_IMPORT = {
    "schemas": set(),
    "models": {"schemas"},
    "transforms": {"schemas", "models"},
    "training": {"schemas", "models"},
    "runners": {"schemas"},
    "pipelines": {"schemas", "models", "transforms", "training", "runners"},
}
_OURS = {*_MAY_IMPORT, "tests", "benchmarks"}


def imported_folders(source: str) -> Iterator[tuple[str, int]]:
    """(folder of ours, line) of each import in a module, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            names = [ast.literal_eval(node.args[0])] if isinstance(node.args[0], ast.Constant) else []
        for name in names:
            if name.split(".")[0] in _OURS:
                yield name.split(".")[0], node.lineno  # type: ignore[attr-defined]


def test_finds_imports() -> None:
    source = "import models.x, os\ndef f():\n    from transforms import y\n    importlib.import_module('tests.z')"
    assert list(imported_folders(source)) == [("models", 1), ("transforms", 3), ("tests", 4)]


@pytest.mark.parametrize("folder", _MAY_IMPORT)
def test_imports_run_downwards(folder: str) -> None:
    files = sorted((_ROOT / folder).rglob("*.py"))
    assert _ROOT / folder / "__init__.py" in files
    wrong = [
        f"{path.relative_to(_ROOT)}:{line} imports {other}"
        for path in files
        for other, line in imported_folders(path.read_text("utf-8"))
        if other != folder and other not in _MAY_IMPORT[folder]
    ]
    assert not wrong


def test_every_folder_is_in_the_table() -> None:
    packages = {path.parent.name for path in _ROOT.glob("[!.]*/__init__.py")}
    assert packages == _OURS
