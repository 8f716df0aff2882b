"""Examples in docstrings give the results that they show."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module", ["transforms.crop_faces", "transforms.quality", "transforms.samples", "transforms.track_faces"]
)
def test_examples(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried and not failed
