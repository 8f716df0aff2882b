"""What facelog does: a public function for each command. The command line is `pipelines.cli`.

Wiring only; the steps of the pipeline are in `transforms`. It may import all our other folders except tests and
benchmarks. For Python users:

    from pipelines import analyze
    summary = analyze(["archive/"], "out")
"""

import ast
import importlib
import sys
import types
from pathlib import Path
from typing import Any

from runners.options import quiet_beam

_FROM = {
    alias.name: str(node.module)
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text("utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
"""The public names and their modules, as the stub file lists them for type checkers."""

__all__ = [*_FROM]

quiet_beam()  # before anything imports Beam, which logs remarks about packages that are not needed here


def __getattr__(name: str) -> Any:
    """Imports a public function when it is asked for: Beam's import takes seconds, which `facelog --help` can spare."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(types.ModuleType):
    """Keeps public names for functions: Python binds an imported submodule, such as `analyze`, to its name here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _FROM and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
