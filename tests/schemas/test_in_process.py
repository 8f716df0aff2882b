"""Pixels stay in their stage: a pipeline that would shuffle them fails at once."""

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from schemas.faces import FaceBatch
from schemas.in_process import InProcessCoder
from tests.examples import example_batch


def test_the_coder_refuses():
    with pytest.raises(TypeError, match="FaceBatch holds pixels and stays in its stage"):
        InProcessCoder().encode(example_batch())
    with pytest.raises(TypeError):
        InProcessCoder().decode(b"")


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_shuffle_of_faces_fails_loudly(shuffle: bool):
    def build(pipeline):
        faces = pipeline | beam.Create([0]) | beam.Map(lambda _: example_batch()).with_output_types(FaceBatch)
        faces = faces | beam.Reshuffle() if shuffle else faces
        return faces | beam.Map(len)

    if not shuffle:
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            build(pipeline)
        return
    with (
        pytest.raises(Exception, match="holds pixels and stays in its stage"),
        beam.Pipeline(runner=FnApiRunner()) as p,
    ):
        build(p)
