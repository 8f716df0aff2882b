"""The benchmark of GPUs, on a machine that may have none."""

import re

from benchmarks.gpu import decoding, with_use
from tests.clips import Clip


def test_decoding_says_what_this_machine_lacks(portrait: Clip) -> None:
    on_cpu, on_gpu = decoding(portrait.path).splitlines()
    assert re.fullmatch(r"frames a second, CPU: [1-9]\d*", on_cpu)
    assert re.match(r"frames a second, GPU: (\d+|none, it cannot be used here \(.+\)$)", on_gpu)


def test_a_figure_stands_alone_where_nobody_says_how_much_the_gpu_is_used() -> None:
    assert with_use(lambda: 12.4) == "12"
