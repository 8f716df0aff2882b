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
    from pipelines.estimate import plan_run
    from pipelines.evaluate import evaluate
    from pipelines.inputs import Inputs
    from pipelines.prepare import prepare
    from pipelines.settings import make_config

__all__ = ["Inputs", "analyze", "evaluate", "make_config", "plan_run", "prepare"]

_FROM = {
    "Inputs": "pipelines.inputs",
    "analyze": "pipelines.analyze",
    "evaluate": "pipelines.evaluate",
    "make_config": "pipelines.settings",
    "plan_run": "pipelines.estimate",
    "prepare": "pipelines.prepare",
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
