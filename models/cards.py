"""Model cards: what a bundle is, what it was trained on and how well it does, checked when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic

from models.geometry import ChipGeometry
from schemas.errors import BundleError
from schemas.tables import EMOTIONS

_Point = tuple[float, float]
_Positive = Annotated[float, pydantic.Field(gt=0)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Geometry(_Part):
    """`models.geometry.ChipGeometry` as it stands in a card."""

    size: int
    points: tuple[_Point, _Point, _Point, _Point, _Point]
    channels: Literal["grey", "rgb"]

    def chip(self) -> ChipGeometry:
        """As the pipeline uses it."""
        return ChipGeometry(self.size, self.points, self.channels)


class Calibration(_Part):
    """What turns a network's raw outputs into probabilities and intervals, and on which data that was fit.

    Attributes:
      data: the pictures it was fit on: neither trained on nor tested on.
      temperature: the class (or gender) logits are divided by it.
      age_std_scale: the predicted age's standard deviation is multiplied by it, so that mean ± 1.2816·std covers 80 %.
    """

    data: str
    temperature: _Positive
    age_std_scale: _Positive | None = None


class Card(_Part):
    """A model card, `card.json`.

    Attributes:
      name: the bundle's name, that of its folder.
      task: "emotion" or "age_gender".
      description: what it is, in a sentence or two.
      classes: names of the outputs' classes in their order; for age_gender the two genders, male first.
      geometry: how chips are cut.
      channel_order: of the chips' last axis.
      scaling: what the network itself does with bytes first; callers pass uint8.
      architecture: the builder in `models.networks` and its arguments.
      parameters: number of weights.
      training_data: data sets, splits and what was left out.
      recipe: the training recipe's fields as they were.
      calibration: see `Calibration`.
      test_data: what `figures` were measured on.
      figures: measured by `python -m training evaluate`; shares and errors, units in the names.
      unknown_below: a gender whose probability is below this is reported as unknown.
      limits: what the model cannot know; for people.
      licence_notes: terms of the training data.
      sha256: of model.keras.
    """

    name: str
    task: Literal["emotion", "age_gender"]
    description: str
    classes: tuple[str, ...]
    geometry: Geometry
    channel_order: Literal["grey", "RGB"]
    scaling: str
    architecture: str
    parameters: int
    training_data: str
    recipe: dict[str, str | int | float | bool | None]
    calibration: Calibration
    test_data: str
    figures: dict[str, float]
    unknown_below: Annotated[float, pydantic.Field(ge=0.5, le=1)] | None = None
    limits: str
    licence_notes: str
    sha256: Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]

    @pydantic.model_validator(mode="after")
    def _fits_its_task(self) -> Card:
        if self.task == "emotion" and self.classes != EMOTIONS:
            raise ValueError(f"an emotion model's classes are {', '.join(EMOTIONS)} in this order")
        if self.task == "age_gender" and self.classes != ("male", "female"):
            raise ValueError("an age_gender model's classes are male, female in this order")
        if self.task == "age_gender" and (self.calibration.age_std_scale is None or self.unknown_below is None):
            raise ValueError("an age_gender model needs calibration.age_std_scale and unknown_below")
        return self


def read_card(folder: Path) -> Card:
    """The card of the bundle in a folder.

    Raises:
      BundleError: there is none, or it is not a valid one.
    """
    path = folder / "card.json"
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{folder} is no model bundle: {path.name} cannot be read ({error.strerror}).") from error
    except pydantic.ValidationError as error:
        raise BundleError(f"{path} is not a valid model card: {error}") from error
