"""The programs: analyze, assemble and the command line. Wiring only; the steps live in `transforms`.

May import everything else of ours but tests and benchmarks. For Python users:

    from pipelines import analyze
    summary = analyze(["archive/"], "out")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.run import Inputs, analyze
    from pipelines.settings import make_config

__all__ = ["Inputs", "analyze", "make_config"]

_FROM = {"Inputs": "pipelines.run", "analyze": "pipelines.run", "make_config": "pipelines.settings"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, when it is: Beam takes seconds, which `facelog --help` has no use for."""
    if name in _FROM:
        import importlib

        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
