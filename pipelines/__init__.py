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
    from pipelines.analyze import analyze
    from pipelines.annotate import annotate
    from pipelines.compact import compact
    from pipelines.estimate import plan_run
    from pipelines.evaluate import evaluate
    from pipelines.export import export
    from pipelines.forget import forget
    from pipelines.image import image
    from pipelines.inputs import Inputs
    from pipelines.prepare import prepare
    from pipelines.prune import prune
    from pipelines.query import query
    from pipelines.report import report
    from pipelines.results import connect
    from pipelines.settings import make_config
    from pipelines.upgrade import upgrade

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
    "analyze": "pipelines.analyze",
    "annotate": "pipelines.annotate",
    "compact": "pipelines.compact",
    "connect": "pipelines.results",
    "evaluate": "pipelines.evaluate",
    "export": "pipelines.export",
    "forget": "pipelines.forget",
    "image": "pipelines.image",
    "make_config": "pipelines.settings",
    "plan_run": "pipelines.estimate",
    "prepare": "pipelines.prepare",
    "prune": "pipelines.prune",
    "query": "pipelines.query",
    "report": "pipelines.report",
    "upgrade": "pipelines.upgrade",
}

quiet_beam()  # before anything imports Beam, which remarks on packages that are not needed here


def __getattr__(name: str) -> Any:
    """Imports what is asked for, when it is: Beam takes seconds, which `facelog --help` has no use for."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(types.ModuleType):
    """`pipelines.analyze` is the function, also once Python has imported the module of that name and would set that."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FROM and isinstance(value, types.ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
