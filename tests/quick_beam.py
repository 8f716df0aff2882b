"""Beam looks at the same functions and parses the same options anew for each step: here it remembers what it found.

A pipeline of this project has some fifty steps, and the tests make hundreds of such pipelines. Most of the time of one
that reads a clip of a second went into that.
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate


def remember() -> None:
    """From now on in this process."""
    core.get_function_args_defaults = _Remembered(core.get_function_args_defaults)  # type: ignore[assignment]
    userstate.get_dofn_specs = _by_class(userstate.get_dofn_specs)
    PipelineOptions.__init__ = _remembering(PipelineOptions.__init__)  # type: ignore[method-assign]


class _Remembered:
    """Names and defaults of a function's arguments; all instances of a class have the same functions."""

    def __init__(self, look: Any):
        self._look = look
        self._found: dict[Any, tuple[list[str], list[Any]]] = {}

    def __call__(self, function: Any) -> tuple[list[str], list[Any]]:
        if not inspect.ismethod(function):
            return self._look(function)
        if function.__func__ not in self._found:
            self._found[function.__func__] = self._look(function)
        names, defaults = self._found[function.__func__]
        return list(names), list(defaults)


def _by_class(look: Any) -> Any:
    """A DoFn's state and timers are defaults in its class's methods, or in the bound method that became one."""
    found: dict[Any, Any] = {}

    def specs(dofn: Any) -> Any:
        key = type(dofn), getattr(vars(dofn).get("process"), "__func__", None)
        if key not in found:
            found[key] = look(dofn)
        states, timers = found[key]
        return set(states), set(timers)

    return specs


def _remembering(parse: Any) -> Any:
    found: dict[tuple[type, tuple[str, ...]], Any] = {}

    def begin(self: Any, flags: Sequence[str] | None = None, **options: Any) -> None:
        key = type(self), tuple(flags or ())
        if flags is None or key not in found:  # None: the program's own
            parse(self, flags, **options)
            found[key] = copy.deepcopy(self._visible_options)
            return
        self._flags, self._visible_options = flags, copy.deepcopy(found[key])
        self._all_options = vars(self._visible_options) | options

    return begin
