"""Model cards: what a bundle is, what input it needs, and how well it does; validated when they are read.

A card defines everything between a face in a picture and a column of the tables: how the chip is cut, its channels and
scaling, and what each output means. So networks of any origin fit into the same pipeline.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from models.geometry import Geometry
from schemas.errors import BundleError
from schemas.tables import EMOTIONS, GENDERS

_Positive = Annotated[float, pydantic.Field(gt=0)]

Attribute = Literal["emotion", "age", "gender"]
Rows = Literal["every", "best"]

_ROWS: dict[Attribute, Rows] = {"emotion": "every", "age": "best", "gender": "best"}
"""Emotions change from sample to sample; age and gender do not, so a few good samples tell them best."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Output(_Part):
    """What one output of the network means, and how it becomes a probability or an interval.

    Attributes:
      attribute: "emotion", "age" or "gender".
      source: key of the network's output; None: it has only this one.
      kind: "logits", "probabilities" (the network ends in softmax or sigmoid), or "years" (age as one number).
      classes: emotion: some or all of EMOTIONS; gender: male and female, or female alone for one sigmoid; in the
        network's own order.
      ranges: age: first and last year of each class, both included; none: the classes are 0, 1, 2 … years.
      tails: age from classes: share of the distribution that is left out at each end before its mean is taken. With
        0.25 the middle half counts, which a small chance of a high age does not pull up, as it does for children.
      temperature: the logits are divided by it.
      bias: added to the logits after the temperature, one per class; empty: no bias.
      std_scale: age from classes: factor on the distribution's standard deviation, so that mean ± 1.2816·std holds
        80 %.
      std_years: age as one number: its standard deviation.
      rows: the faces that it is read from: "every" sample of a face, or the "best" few of each track and second.
        Default: every for emotion, best for age and gender; a card does not repeat the default.
    """

    attribute: Attribute
    source: str | None = None
    kind: Literal["logits", "probabilities", "years"]
    classes: tuple[str, ...] = ()
    ranges: tuple[tuple[float, float], ...] = ()
    tails: float = pydantic.Field(default=0.0, ge=0.0, lt=0.5)
    temperature: _Positive = 1.0
    bias: tuple[float, ...] = ()
    std_scale: _Positive = 1.0
    std_years: _Positive | None = None
    rows: Rows = pydantic.Field(default_factory=lambda data: _ROWS[data["attribute"]])

    @pydantic.model_serializer(mode="wrap")
    def _without_defaults(self, serialize: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Cards that were written before there were these fields keep their hash.
        fields = serialize(self)
        for name, default in (("rows", _ROWS[self.attribute]), ("tails", 0.0)):
            if getattr(self, name) == default:
                fields.pop(name, None)
        return fields

    @pydantic.model_validator(mode="after")
    def _fits_its_attribute(self) -> Output:
        known = {"emotion": EMOTIONS, "gender": GENDERS, "age": ()}[self.attribute]
        if len(set(self.classes)) != len(self.classes) or not set(self.classes) <= set(known):
            raise ValueError(f"classes of {self.attribute} must be different ones of {', '.join(known) or 'none'}")
        if self.attribute == "emotion" and len(self.classes) < 2:
            raise ValueError("an emotion output needs two classes or more")
        if self.attribute == "gender" and self.classes != ("female",) and len(self.classes) != 2:
            raise ValueError("a gender output's classes are male and female in its order, or female alone")
        if (self.kind == "years") != (self.std_years is not None):
            raise ValueError("std_years belongs to kind years, and to no other")
        if self.attribute != "age" and (self.kind == "years" or self.ranges):
            raise ValueError("only age has kind years, or ranges")
        if self.tails and (self.attribute != "age" or self.kind == "years"):
            raise ValueError("only an age from classes has tails")
        if any(low > high for low, high in self.ranges):
            raise ValueError("a range's first year is not above its last")
        if self.bias and self.attribute != "age" and len(self.bias) != len(self.classes):
            raise ValueError("bias has one number for each class")
        return self


class Converted(_Part):
    """The network as LiteRT runs it on the CPU, compared with the network as it was trained.

    Attributes:
      sha256: of model.tflite; None: there is none, and TensorFlow runs the network on the CPU, too.
      refused: why there is none.
      compared_on: the faces that both were asked about.
      figures: n, the number of faces; shares with the same class (emotion_same, gender_same); mean differences of
        probabilities (emotion_difference, gender_difference) and years (age_difference).
    """

    sha256: Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")] | None = None
    refused: str = ""
    compared_on: str = "none"
    figures: dict[str, float] = {}


class Card(_Part):
    """A model card, `card.json`.

    Attributes:
      name: the bundle's name, that of its folder.
      description: what it is, in a sentence or two.
      geometry: how chips are cut.
      scale, offset: the network sees bytes · scale + offset.
      second_input: what it needs beside the chip: "hog_landmarks" is `models.features.hog_landmarks` of the chip.
      mirror: whether the outputs for the chip and for its mirror image are averaged.
      outputs: what the network's outputs mean.
      architecture: name in `models.zoo`, or of the builder.
      parameters: number of weights.
      training_data: data sets, splits and what was left out.
      recipe: the training recipe's fields as they were.
      calibration_data: pictures that temperatures and scales were fit on; used neither for training nor for testing.
      test_data: what `figures` were measured on.
      figures: measured by `facelog evaluate`; shares and errors, units in the names.
      unknown_below: a gender whose probability is below this is reported as unknown.
      limits: what the model cannot know, in words for people.
      licence_notes: terms of the training data.
      sha256: of model.keras.
      litert: what runs on the CPU; None: the network was not converted yet.
    """

    name: str
    description: str
    geometry: Annotated[Geometry, pydantic.Field(discriminator="kind")]
    scale: float = 1.0
    offset: float = 0.0
    second_input: Literal["hog_landmarks"] | None = None
    mirror: bool = False
    outputs: Annotated[tuple[Output, ...], pydantic.Field(min_length=1)]
    architecture: str
    parameters: int
    training_data: str
    recipe: dict[str, str | int | float | bool | None] = {}
    calibration_data: str
    test_data: str
    figures: dict[str, float] = {}
    unknown_below: Annotated[float, pydantic.Field(ge=0.5, le=1)] | None = None
    limits: str
    licence_notes: str
    sha256: Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]
    litert: Converted | None = None

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> Card:
        attributes = [output.attribute for output in self.outputs]
        if len(set(attributes)) != len(attributes):
            raise ValueError("each attribute has one output")
        if len({output.rows for output in self.outputs}) > 1:
            raise ValueError(
                "all outputs of a model are read from the same rows: state rows for each, every or best "
                "(emotion is read from every sample by default, age and gender from the best)"
            )
        if self.mirror and self.second_input:
            raise ValueError("mirror works only for models of the chip alone: a second input is not mirrored with it")
        if "gender" in attributes and self.unknown_below is None:
            raise ValueError("a model of gender needs unknown_below")
        return self

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes that it gives, in the order emotion, age, gender."""
        given = [output.attribute for output in self.outputs]
        order: tuple[Attribute, ...] = ("emotion", "age", "gender")
        return tuple(name for name in order if name in given)

    @property
    def task(self) -> str:
        """Its attributes as one word: emotion, age_gender, age or gender."""
        return "_".join(self.attributes)

    @property
    def rows(self) -> Rows:
        """The faces that it is asked about; see `Output`."""
        return self.outputs[0].rows

    def output(self, attribute: str) -> Output:
        """The output that gives an attribute; KeyError if none does."""
        for output in self.outputs:
            if output.attribute == attribute:
                return output
        raise KeyError(attribute)


def read_card(folder: Path) -> Card:
    """The card of the bundle in a folder.

    Raises:
      BundleError: there is none, or it is not a valid one.
    """
    path = folder / "card.json"
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise BundleError(f"{folder} is no model bundle: {path.name} cannot be read ({error.strerror}).") from error
    except pydantic.ValidationError as error:
        raise BundleError(f"{path} is not a valid model card: {error}") from error


@functools.lru_cache(maxsize=32)
def _read(path: Path, _modified: int, _size: int) -> Card:
    """The card in a file, which is asked for with each segment, so it is read once unless it changes."""
    return Card.model_validate_json(path.read_bytes())


def write_card(folder: Path, card: Card) -> None:
    """Write a bundle's card."""
    (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
