"""Imports run downwards only, as docs/architecture.md says, and nowhere in a circle."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]

# Folder → the other folders of ours that it may import.
_FOLDERS = {
    "schemas": set(),
    "models": {"schemas"},
    "transforms": {"schemas", "models"},
    "training": {"schemas", "models"},
    "runners": {"schemas"},
    "pipelines": {"schemas", "models", "transforms", "training", "runners"},
}
_OURS = {*_FOLDERS, "deploy", "tests", "benchmarks"}

# Wing of pipelines/ (a folder, or a file that stands alone) → the other wings that it may import.
_GROUND = {"settings", "inputs", "words", "face_words", "colours", "progress_bar"}
_WINGS = {
    **{wing: set[str]() for wing in sorted(_GROUND)},
    "face_words": {"words"},
    "analyze": set(),
    "results": _GROUND,
    "runs": {*_GROUND, "analyze", "results"},
    "persons": {*_GROUND, "results"},
    "queries": {*_GROUND, "results"},
    "annotations": {*_GROUND, "results"},
    "exports": {*_GROUND, "results", "queries"},
    "reports": {*_GROUND, "results"},
    "keeping": {*_GROUND, "results", "persons"},
    "cameras": {*_GROUND, "results", "keeping"},
    "datasets": {*_GROUND},
    "detectors": {*_GROUND},
    "serve": {*_GROUND, "results", "queries", "annotations", "reports", "cameras", "persons"},
    "cli": {
        *(*_GROUND, "results", "runs", "queries", "annotations", "exports", "reports", "keeping", "datasets"),
        *("detectors", "cameras", "serve", "persons"),
    },
}

# The same of training/.
_LEARNT = {"recipe", "datasets", "learning", "data"}
_TRAINING = {
    "recipe": set[str](),
    "datasets": set(),
    "learning": {"recipe"},
    "data": {"recipe", "datasets", "learning"},
    "judging": {"datasets", "learning", "data"},
    "export": {*_LEARNT, "judging"},
    "train": {*_LEARNT, "judging", "export"},
    "convert": {*_LEARNT, "judging", "export"},
    "on_device": _LEARNT,
    "shipped": {"data"},
}
_WINGS_OF = {"pipelines": _WINGS, "training": _TRAINING}


def imports(source: str) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of each import in a module, those inside functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            yield from [(str(name.value), node.lineno)] if isinstance(name, ast.Constant) else []


def files_of(*folders: str) -> list[Path]:
    """The Python files below some folders of the repository."""
    return sorted(path for folder in folders for path in (_ROOT / folder).rglob("*.py"))


def module_of(name: str) -> Path | None:
    """The file that an imported dotted name comes from: a module, or the package or module that holds it."""
    path = _ROOT / name.replace(".", "/")
    for file in (
        path.with_suffix(".py"),
        path / "__init__.py",
        path.parent.with_suffix(".py"),
        path.parent / "__init__.py",
    ):
        if file.is_file() and _ROOT in file.parents:
            return file
    return None


def wing_of(name: str) -> str:
    """The second part of a dotted name: `queries` of `pipelines.queries.query`."""
    return name.split(".")[1] if "." in name else ""


def test_few_files_import_tensorflow_and_none_at_once() -> None:
    """It takes seconds and 400 MB: no worker on the CPU needs it, nor a command that reads results."""
    sources = {str(path.relative_to(_ROOT)): path.read_text("utf-8") for path in files_of(*_FOLDERS)}
    with_it = {
        file: source
        for file, source in sources.items()
        if ("tensorflow" in source or "keras" in source)
        and any(name.split(".")[0] in {"tensorflow", "keras"} for name, _ in imports(source))
    }
    allowed = (
        "models/detectors/mtcnn.py",
        "models/networks/",
        "models/on_tensorflow.py",
        "models/runtime.py",
        "training/",
    )
    assert with_it and not [file for file in with_it if not file.startswith(allowed)]
    at_once = [node for source in with_it.values() for node in ast.parse(source).body]
    assert not [node for node in at_once if isinstance(node, ast.Import | ast.ImportFrom) and _is_tensorflow(node)]


def _is_tensorflow(node: ast.Import | ast.ImportFrom) -> bool:
    return any(name.split(".")[0] in {"tensorflow", "keras"} for name, _ in imports(ast.unparse(node)))


def test_finds_imports() -> None:
    source = "import models.x, os\ndef f():\n    from transforms import y\n    importlib.import_module('tests.z')"
    assert sorted(imports(source)) == [("models.x", 1), ("os", 1), ("tests.z", 4), ("transforms.y", 3)]


@pytest.mark.parametrize("folder", _FOLDERS)
def test_folders_import_downwards(folder: str) -> None:
    wrong = [
        f"{path.relative_to(_ROOT)}:{line} imports {name}"
        for path in files_of(folder)
        for name, line in imports(path.read_text("utf-8"))
        if name.split(".")[0] in _OURS - {folder} - _FOLDERS[folder]
    ]
    assert not wrong


@pytest.mark.parametrize(("folder", "wing"), [(folder, wing) for folder, wings in _WINGS_OF.items() for wing in wings])
def test_wings_import_downwards(folder: str, wing: str) -> None:
    lone = _ROOT / folder / f"{wing}.py"
    files = [lone] if lone.is_file() else files_of(f"{folder}/{wing}")
    assert files
    wrong = [
        f"{path.relative_to(_ROOT)}:{line} imports {name}"
        for path in files
        for name, line in imports(path.read_text("utf-8"))
        if name.startswith(f"{folder}.") and wing_of(name) not in {wing, *_WINGS_OF[folder][wing]}
    ]
    assert not wrong


def test_no_circle_anywhere() -> None:
    """Also none that Python does not see, because one of its imports stands inside a function."""
    graph = {
        path: {
            other
            for name, _ in imports(path.read_text("utf-8"))
            if name.split(".")[0] in _OURS and (other := module_of(name)) not in (None, path)
        }
        for path in files_of(*_OURS)
    }
    graph[_ROOT / "pipelines" / "__init__.py"] = set()  # the public names, each imported when it is asked for
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(str(path.relative_to(_ROOT)) for path in error.args[1]))


def test_every_folder_and_wing_is_in_a_table() -> None:
    packages = {path.parent.name for path in _ROOT.glob("[!.]*/__init__.py")}
    assert packages == _OURS - {"deploy"}
    for folder, wings in _WINGS_OF.items():
        inside = (_ROOT / folder).glob("[!_]*")
        assert {path.stem for path in inside if path.suffix == ".py" or list(path.glob("*.py"))} == set(wings)
