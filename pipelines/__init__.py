"""The programs: analyze, assemble and the command line. Wiring only; the steps live in `transforms`.

May import everything else of ours but tests and benchmarks. For Python users:

    from pipelines import analyze
    summary = analyze(["archive/"], "out")
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from runners.options import quiet_beam

if TYPE_CHECKING:
    from pipelines.annotations.annotate import annotate
    from pipelines.annotations.image import image
    from pipelines.datasets.evaluate import evaluate
    from pipelines.datasets.prepare import prepare
    from pipelines.exports.export import export
    from pipelines.inputs import Inputs
    from pipelines.keeping.compact import compact
    from pipelines.keeping.forget import forget
    from pipelines.keeping.prune import prune
    from pipelines.keeping.upgrade import upgrade
    from pipelines.queries.query import query
    from pipelines.reports.report import report
    from pipelines.results.database import connect
    from pipelines.runs.analyze_archive import analyze
    from pipelines.runs.dry_run import plan_run
    from pipelines.settings import make_config

__all__ = [
    "Inputs",
    "analyze",
    "annotate",
    "compact",
    "connect",
    "evaluate",
    "export",
    "forget",
    "image",
    "make_config",
    "plan_run",
    "prepare",
    "prune",
    "query",
    "report",
    "upgrade",
]

_FROM = {
    "Inputs": "pipelines.inputs",
    "analyze": "pipelines.runs.analyze_archive",
    "annotate": "pipelines.annotations.annotate",
    "compact": "pipelines.keeping.compact",
    "connect": "pipelines.results.database",
    "evaluate": "pipelines.datasets.evaluate",
    "export": "pipelines.exports.export",
    "forget": "pipelines.keeping.forget",
    "image": "pipelines.annotations.image",
    "make_config": "pipelines.settings",
    "plan_run": "pipelines.runs.dry_run",
    "prepare": "pipelines.datasets.prepare",
    "prune": "pipelines.keeping.prune",
    "query": "pipelines.queries.query",
    "report": "pipelines.reports.report",
    "upgrade": "pipelines.keeping.upgrade",
}

quiet_beam()  # before anything imports Beam, which remarks on packages that are not needed here


def __getattr__(name: str) -> Any:
    """Imports what is asked for, when it is: Beam takes seconds, which `facelog --help` has no use for."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(types.ModuleType):
    """Keeps public names for functions: Python binds an imported submodule, such as `analyze`, to its name here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _FROM and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
