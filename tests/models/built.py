"""Networks of the zoo, built once for all tests: some have more than 20 million random weights, which take seconds."""

import functools
from typing import Any

from models.runtime import configure_tensorflow
from models.zoo import ZOO

TRUNKS = ("age-resnet50", "age-vgg16", "gender-inception")


@functools.cache
def built(name: str) -> Any:
    """A network with its default options; a trunk has random weights. Do not change it."""
    configure_tensorflow("cpu")
    return ZOO[name].build(**({"weights": None} if name in TRUNKS else {}))
