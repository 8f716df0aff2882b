"""Models as steps of a pipeline: what Beam's `RunInference` needs to call a bundle on a batch of faces."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from models.bundle import Bundle, load_bundle
from models.runtime import Device
from schemas.config import ModelRef
from schemas.faces import FaceBatch
from schemas.tables import EMOTION_COLUMNS

Load = Callable[..., Any]

ATTRIBUTE_COLUMNS = {"emotion": EMOTION_COLUMNS, "age": ("age", "age_std"), "gender": ("gender_female",)}
"""Observation columns of each attribute."""


def alone(faces: FaceBatch) -> list[FaceBatch]:
    """A batch of faces as the list of one that `RunInference` takes."""
    return [faces]


class FaceModelHandler(ModelHandler[FaceBatch, FaceBatch, Bundle]):
    """FaceBatch → the same with the columns that a model gives; one bundle, loaded once per process.

    A batch of faces is one element, and the bundle cuts it into fixed padded blocks: Beam's own batching goes by the
    clock, and results may not depend on that.
    """

    def __init__(self, model: ModelRef, *, device: Device = "cpu", load: Load = load_bundle):
        """Names the bundle; nothing is loaded yet.

        Args:
          model: which bundle, and which of its attributes are wanted.
          device: "auto", "cpu" or "gpu".
          load: how a bundle is loaded; tests pass their own.
        """
        super().__init__()
        self._model = model
        self._device: Device = device
        self._load = load

    def load_model(self) -> Bundle:
        """The bundle, warmed."""
        return self._load(self._model.name, device=self._device)

    def run_inference(
        self, batch: Sequence[FaceBatch], model: Bundle, inference_args: dict[str, Any] | None = None
    ) -> Iterable[FaceBatch]:
        """Each batch of faces with its new columns."""
        return [faces.with_columns(self.columns(faces, model), done=self._model.task) for faces in batch]

    def columns(self, faces: FaceBatch, model: Bundle) -> dict[str, np.ndarray]:
        """The columns that the model gives for a batch, [n] float32 each; NaN where it was not asked, or does not know.

        Emotions are asked of every face, age and gender of the best few of each track and second.
        """
        wanted = self._model.attributes
        rows = np.arange(len(faces)) if "emotion" in wanted else faces.best
        outputs = model.predict(faces.chips[self._model.task]) if len(rows) else {}
        columns = {}
        for name in (name for attribute in wanted for name in ATTRIBUTE_COLUMNS[attribute]):
            columns[name] = np.full(len(faces), np.nan, np.float32)
        for name, values in outputs.items():
            named = zip(EMOTION_COLUMNS, values.T, strict=True) if name == "emotion" else [(name, values)]
            for column, of in named:
                if column in columns:
                    columns[column][rows] = of
        return columns

    def should_skip_batching(self) -> bool:
        """True: elements come as lists of one (`alone`); Beam's batching would hold each back until the next comes."""
        return True

    def get_num_bytes(self, batch: Sequence[FaceBatch]) -> int:
        """Bytes of chips in a batch."""
        return sum(chips.nbytes for faces in batch for chips in faces.chips.values())

    def get_metrics_namespace(self) -> str:
        """Where Beam's metrics of this model stand."""
        return f"facelog_{self._model.task}"

    def get_resource_hints(self) -> dict[str, Any]:
        """An accelerator, for runners that can give one, where the user asked for it."""
        return {"accelerator": "type:nvidia-tesla-t4;count:1;install-nvidia-driver"} if self._device == "gpu" else {}
