"""Models as steps of a pipeline, with a fake in the place of TensorFlow."""

import dataclasses
import subprocess
import sys
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from models.handlers import FaceModelHandler, alone
from schemas.config import ModelRef
from schemas.faces import FaceBatch
from schemas.tables import EMOTION_COLUMNS
from tests.examples import example_batch, example_samples, example_track, join_tracks


@dataclasses.dataclass
class FakeBundle:
    """Says of a chip what its first pixel is."""

    name: str
    device: str

    def predict(self, chips: np.ndarray) -> dict[str, np.ndarray]:
        assert len(chips)
        seen = chips.reshape(len(chips), -1)[:, 0].astype(np.float32)
        if chips.ndim == 3:
            return {"emotion": np.stack([seen / 255] + [(1 - seen / 255) / 6] * 6, axis=1)}
        return {"age": seen, "age_std": seen / 10, "gender_female": seen / 255}


def fake(name: str, *, device: str) -> Any:
    return FakeBundle(name, device)


EMOTION = FaceModelHandler(ModelRef("e", ("emotion",), ""), load=fake)
AGE_GENDER = FaceModelHandler(ModelRef("a", ("age", "gender"), ""), load=fake)


def on(device: Any) -> FaceModelHandler:
    return FaceModelHandler(ModelRef("e", ("emotion",), ""), device=device, load=fake)


def unseen(rows: int = 8) -> FaceBatch:
    """Faces that no model has seen."""
    columns = example_track(0, example_samples(rows / 4))
    for name in (*EMOTION_COLUMNS, "age", "age_std", "gender_female"):
        del columns[name]
    return example_batch(columns=columns)


def infer(handler: FaceModelHandler, batch: FaceBatch) -> FaceBatch:
    (out,) = handler.run_inference([batch], handler.load_model())
    return out


def test_every_face_gets_its_emotions():
    batch = unseen()
    out = infer(EMOTION, batch)

    np.testing.assert_array_equal(out.columns["emotion_angry"], (batch.chips["emotion"][:, 0, 0] / np.float32(255)))
    np.testing.assert_allclose(np.sum([out.columns[name] for name in EMOTION_COLUMNS], axis=0), 1, rtol=1e-6)
    assert set(out.chips) == {"age_gender"}
    assert set(batch.chips) == {"emotion", "age_gender"}  # the element that came is left as it was


def test_only_the_faces_that_were_chosen_get_an_age():
    batch = unseen()
    out = infer(AGE_GENDER, batch)

    assert np.isnan(out.columns["age"][1::2]).all()
    np.testing.assert_array_equal(out.columns["age"][::2], batch.chips["age_gender"][:, 0, 0, 0].astype(np.float32))
    for name in ("age", "age_std", "gender_female"):
        assert out.columns[name].dtype == np.float32
        assert np.isnan(out.columns[name]).tolist() == [False, True] * 4
    assert set(out.chips) == {"emotion"}


def test_of_a_model_that_gives_more_only_what_is_wanted_is_taken():
    batch = unseen()
    rows, chips = batch.rows["age_gender"], batch.chips["age_gender"]
    batch = dataclasses.replace(batch, rows={"gender": rows}, chips={"gender": chips})
    out = infer(FaceModelHandler(ModelRef("a", ("gender",), ""), load=fake), batch)

    assert "age" not in out.columns and out.chips == {}
    assert np.isnan(out.columns["gender_female"]).tolist() == [False, True] * 4


@pytest.mark.parametrize("handler", [EMOTION, AGE_GENDER])
def test_a_batch_without_faces_passes_through(handler: FaceModelHandler):
    empty = dataclasses.replace(example_batch(columns=join_tracks()), chips={})

    out = infer(handler, empty)

    assert len(out) == 0
    assert all(len(column) == 0 for column in out.columns.values())


def test_the_bundle_is_loaded_by_name_on_the_device():
    bundle: object = on("gpu").load_model()

    assert bundle == FakeBundle("e", "gpu")


def test_an_accelerator_is_asked_for_with_gpu_alone():
    assert on("cpu").get_resource_hints() == {}
    assert on("auto").get_resource_hints() == {}
    assert "nvidia" in on("gpu").get_resource_hints()["accelerator"]


def test_bytes_are_those_of_the_chips():
    batch = unseen()

    assert EMOTION.get_num_bytes([batch, batch]) == 2 * (8 * 48 * 48 + 4 * 64 * 64 * 3)


def test_in_a_pipeline_one_after_the_other():
    def figures(batch: FaceBatch) -> tuple[int, float, list[str]]:
        return len(batch), float(np.nansum(batch.columns["age"])), sorted(batch.chips)

    sizes = [8, 4, 12]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        faces = pipeline | beam.Create(sizes) | "Make" >> beam.Map(unseen).with_output_types(FaceBatch)
        faces = faces | "1" >> beam.Map(alone) | "Emotion" >> RunInference(EMOTION)
        faces = faces | "2" >> beam.Map(alone) | "Age" >> RunInference(AGE_GENDER)
        expected: list[tuple[int, float, list[str]]] = [
            (n, float(unseen(n).chips["age_gender"][:, 0, 0, 0].sum()), []) for n in sizes
        ]
        assert_that(faces | "Figures" >> beam.Map(figures), equal_to(expected))


def test_handlers_do_not_import_tensorflow():
    # The supervisor builds pipelines too; TensorFlow costs it two seconds and 400 MB.
    code = "import sys, models.handlers; print('tensorflow' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "False"
