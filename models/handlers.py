"""Models as steps of a pipeline: Beam's `RunInference` calls a bundle on a batch of faces by a handler."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from models.bundle import Bundle, load_bundle
from models.embeddings.choose import embedding_card
from models.runtime import Device
from schemas.config import Config, ModelRef
from schemas.faces import EMBEDDING, FaceBatch
from schemas.tables import EMOTION_COLUMNS

Load = Callable[..., Any]

ATTRIBUTE_COLUMNS = {"emotion": EMOTION_COLUMNS, "age": ("age", "age_std"), "gender": ("gender_female",)}
"""Observation columns of each attribute."""


def alone(faces: FaceBatch) -> list[FaceBatch]:
    """A batch of faces as a list of one, which `RunInference` takes."""
    return [faces]


class FaceModelHandler(ModelHandler[FaceBatch, FaceBatch, Bundle]):
    """FaceBatch → the same with the columns that a model gives; one bundle, loaded once per process.

    A batch of faces is one element. Beam's own batching depends on the time that elements take to arrive, and results
    must not depend on that.
    """

    def __init__(self, model: ModelRef, *, device: Device = "cpu", load: Load = load_bundle):
        """Keeps the name of the bundle; it is loaded later, in the worker.

        Args:
          model: which bundle, and which of its attributes are wanted.
          device: "cpu" or "gpu".
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
        return [self._infer(faces, model) for faces in batch]

    def _infer(self, faces: FaceBatch, model: Bundle) -> FaceBatch:
        with faces.log.times.step("infer"):
            return faces.with_columns(self.columns(faces, model), done=self._model.task)

    def columns(self, faces: FaceBatch, model: Bundle) -> dict[str, np.ndarray]:
        """The columns that the model gives for a batch, [n] float32 each.

        They are NaN for faces that the model was not asked about (`FaceBatch.rows`), and for what it does not know.
        """
        task = self._model.task
        rows = faces.rows[task]
        outputs = model.predict(faces.chips[task]) if len(rows) else {}
        columns = {}
        for name in (name for attribute in self._model.attributes for name in ATTRIBUTE_COLUMNS[attribute]):
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
        """The namespace of Beam's metrics of this model."""
        return f"facelog_{self._model.task}"

    def get_resource_hints(self) -> dict[str, Any]:
        """Asks for an accelerator where the user wants a GPU; runners that cannot give one ignore it."""
        return {"accelerator": "type:nvidia-tesla-t4;count:1;install-nvidia-driver"} if self._device == "gpu" else {}


class EmbeddingHandler(ModelHandler[FaceBatch, FaceBatch, Callable[[np.ndarray], np.ndarray]]):
    """FaceBatch → the same with the embeddings of the chips that were kept for them; one network for each process.

    The network is asked about one chip at a time, so a face's embedding does not depend on the faces beside it.
    """

    def __init__(self, config: Config):
        """Keeps the name of the embedding; its network is loaded later, in the worker.

        Args:
          config: of a run that asks for persons.
        """
        super().__init__()
        self._name = config.identity.embedding

    def load_model(self) -> Callable[[np.ndarray], np.ndarray]:
        """The network."""
        card = embedding_card(self._name)
        return card.load(card.weights())

    def run_inference(
        self,
        batch: Sequence[FaceBatch],
        model: Callable[[np.ndarray], np.ndarray],
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[FaceBatch]:
        """Each batch of faces with its embeddings."""
        return [self._embed(faces, model) for faces in batch]

    def _embed(self, faces: FaceBatch, model: Callable[[np.ndarray], np.ndarray]) -> FaceBatch:
        with faces.log.times.step("embed"):
            vectors = [model(chip) for chip in faces.chips[EMBEDDING]]
        length = embedding_card(self._name).length
        embeddings = np.array(vectors, np.float32).reshape(-1, length)
        return dataclasses.replace(faces.with_columns({}, done=EMBEDDING), embeddings=embeddings)

    def should_skip_batching(self) -> bool:
        """True, as `FaceModelHandler.should_skip_batching`."""
        return True

    def get_num_bytes(self, batch: Sequence[FaceBatch]) -> int:
        """Bytes of chips in a batch."""
        return sum(faces.chips[EMBEDDING].nbytes for faces in batch)
