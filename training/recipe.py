"""Recipes: what a model is trained with, by name. Each can be changed by a file and by options of `facelog train`.

`emotion`, `emotion-fer2013` and `age-gender` are the shipped models; every network of the zoo has a recipe under its
own name, with the settings that it was published with where those are known.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from models.zoo import ZOO, Network, find_network
from schemas.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
      epochs: passes over the pictures.
      batch: pictures a step.
      rate: highest learning rate.
      optimizer: "sgd" has Nesterov momentum .9.
      decay: what becomes of the rate. "cosine": it falls to a hundredth; "plateau": it is halved when the loss on the
        calibration part has stayed for three epochs; "steps": × .2 at a quarter, half and three quarters of the epochs
        (S. Zagoruyko and N. Komodakis, 2016); "constant".
      warmup: epochs in which the rate rises from a tenth to `rate`; for "cosine" only.
      patience: epochs without a better loss on the calibration part before training stops and takes the best weights;
        None: it does not stop.
      ema: momentum of an exponential moving average of the weights, which is what is kept in the end; 0 for none.
      seed: of weights, order and augmentation.
      mixed: compute in bfloat16. Halves a step's time where the CPU has AVX-512 BF16; on two busy EPYC cores with
        AVX2 alone a step took 7.2 s in place of 1.6 s (2.8 million weights, batches of 96).
    """

    epochs: int
    batch: int = 96
    rate: float = 0.08
    optimizer: Literal["sgd", "adam"] = "sgd"
    decay: Literal["cosine", "plateau", "steps", "constant"] = "cosine"
    warmup: float = 1.0
    patience: int | None = None
    ema: float = 0.0
    seed: int = 1
    mixed: bool = False


@dataclasses.dataclass(frozen=True)
class Jitter:
    """How far training pictures are changed; every draw is uniform.

    Attributes:
      degrees: turn, to either side.
      scale: smallest and largest size of the face, as a multiple.
      shift: to each side, as a share of the chip.
      contrast: factor on the difference from the mean, 1 ± this.
      brightness: added, ± this share of the full range.
      erase: side of the square that is greyed out, as a share of the chip; 0 for none.
      mixup: parameter of `training.learning.mixup`, by which pictures are blends of two; 0 for none.
    """

    degrees: float = 10.0
    scale: tuple[float, float] = (0.88, 1.12)
    shift: float = 0.07
    contrast: float = 0.3
    brightness: float = 0.12
    erase: float = 0.25
    mixup: float = 0.0


@dataclasses.dataclass(frozen=True)
class Head:
    """One reading of the emotion labels. Each has its own output on the same trunk, and becomes a bundle of its own.

    Attributes:
      name: of the output, where there are several.
      suffix: what its bundle's name has behind that of the first.
      votes: share of FER+'s votes in a target, where there are any; the rest is the data set's own label. Above a half,
        it is calibrated and judged by FER+'s majority too.
      smoothing: share of a target spread evenly over the classes.
      balance: power of the class shares that logits are corrected by in training, after Menon et al. (ICLR 2021): 0
        leaves the rare classes (disgust: 1.5 %) to be drowned, 1 gives every class the same weight.
      recall_cost: accuracy on the training pictures that may be given up for a higher mean recall, by adding a multiple
        of the classes' negative log shares to the logits; 0: nothing is added.
    """

    name: str = "emotion"
    suffix: str = ""
    votes: float = 0.0
    smoothing: float = 0.0
    balance: float = 0.0
    recall_cost: float = 0.0

    @property
    def by_votes(self) -> bool:
        """Whether the truth that it is judged by is what ten people say."""
        return self.votes > 0.5


@dataclasses.dataclass(frozen=True)
class Weights:
    """How age and gender are weighed against each other.

    Attributes:
      age_sigma: how far off a stated age may be, in years. An exact age becomes a normal distribution around it (B.-B.
        Gao et al., Deep label distribution learning with label ambiguity, TIP 2017); a child's is known better, see
        `stated_sigma`. Of a range, the likelihood falls likewise outside. 0: not at all, the plain cross-entropy.
      age_error: weight of the mean's absolute error in years beside that likelihood.
      gender: weight of gender's cross-entropy.
    """

    age_sigma: float = 0.0
    age_error: float = 0.0
    gender: float = 1.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a model is trained with.

    Attributes:
      network: its name in `models.zoo`.
      schedule: how long and how fast.
      jitter: augmentation; None for none.
      options: arguments of the network's builder, as dropout or a trunk's weights.
      heads: emotion: how the labels are read, one for each bundle.
      weights: age and gender: how they are weighed.
      test: share of a data set that is held back and judged by, if the set has no validation or test split of its own.
      calibration: share of the training pictures that is held back for calibration.
      mirror: whether the bundle averages a chip and its mirror image, for twice the time.
      unknown_below: gender: for the card.
    """

    network: str
    schedule: Schedule
    jitter: Jitter | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    heads: tuple[Head, ...] = (Head(),)
    weights: Weights = dataclasses.field(default_factory=Weights)
    test: float = 0.1
    calibration: float = 0.05
    mirror: bool = False
    unknown_below: float = 0.7

    def flat(self) -> dict[str, str | int | float | bool | None]:
        """Its fields for a card, nested ones as `outer.inner`, but for those that the network has no output for."""
        fields = dataclasses.asdict(self)
        of_emotions = find_network(self.network).attributes == ("emotion",)
        for name in ("weights", "unknown_below") if of_emotions else ("heads",):
            del fields[name]
        return _flat(fields)

    def decisive(self) -> dict[str, str | int | float | bool | None]:
        """Those that the trained weights depend on."""
        later = ("recall_cost", "mirror", "unknown_below")
        return {name: value for name, value in self.flat().items() if name.split(".")[-1] not in later}


# Nine parts of ten from FER+: one more than half of the votes is then also what the network finds most likely.
_VOTES = Head("votes", votes=0.9, smoothing=0.03, balance=0.3, recall_cost=0.01)
_OWN = Head("own", suffix="-fer2013", smoothing=0.1)

_EMOTION = Recipe(
    network="emotion-resnet",
    schedule=Schedule(epochs=56, batch=96, rate=0.08, warmup=1.0),
    jitter=Jitter(degrees=12.0, scale=(0.86, 1.14), shift=0.08),
    options={"dropout": 0.4, "decay": 2e-4},
    heads=(_VOTES, _OWN),
    mirror=True,
)
_EMOTION_FER2013 = dataclasses.replace(_EMOTION, heads=(dataclasses.replace(_OWN, suffix=""),))
_AGE_GENDER = Recipe(
    network="age-gender-resnet",
    schedule=Schedule(epochs=48, batch=128, rate=0.06, warmup=1.0),
    jitter=Jitter(shift=0.05, erase=0.2),
    options={"dropout": 0.3, "decay": 1e-4},
    weights=Weights(age_sigma=2.0, age_error=0.15),
    test=0.08,
    calibration=0.04,
    mirror=True,
)

SHIPPED = {"emotion": _EMOTION, "emotion-fer2013": _EMOTION_FER2013, "age-gender": _AGE_GENDER}
_OURS = {"emotion-resnet": _EMOTION_FER2013, "age-gender-resnet": _AGE_GENDER}


def find_recipe(name: str) -> Recipe:
    """The recipe of a shipped model or of a network of the zoo.

    Raises:
      UsageError: there is none of this name.
    """
    if name in SHIPPED or name in _OURS:
        return (SHIPPED | _OURS)[name]
    if name in ZOO:
        return _of_the_zoo(find_network(name))
    known = [*SHIPPED, *ZOO]
    raise UsageError(f"There is no recipe {name!r}{_guess(name, known)}; there are {', '.join(known)}.")


def _of_the_zoo(network: Network) -> Recipe:
    training = network.training
    emotion = network.attributes == ("emotion",)
    jitter = Jitter() if emotion else Jitter(shift=0.05, erase=0.2)
    return Recipe(
        network=network.name,
        schedule=Schedule(
            epochs=training.epochs,
            batch=training.batch,
            rate=training.learning_rate,
            optimizer=training.optimizer,
            decay=training.schedule,
            patience=training.patience,
        ),
        # The second input is made once, of the chip as it is: a chip that is turned would no longer fit it.
        jitter=None if network.second_input else jitter,
    )


def change(recipe: Recipe, changes: Mapping[str, Any], source: str) -> Recipe:
    """A recipe with some fields changed.

    Args:
      recipe: as it was.
      changes: fields and their values, nested ones as dicts: {"schedule": {"epochs": 3}}.
      source: where they come from, for messages.

    Raises:
      UsageError: there is no such field, or the value is none for it.
    """
    merged = _merge(dataclasses.asdict(recipe), changes, source)
    try:
        return pydantic.TypeAdapter(Recipe).validate_python(merged)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{source}: {place} is {first['input']!r}; {first['msg'].lower()}.") from error


def read_changes(file: Path) -> dict[str, Any]:
    """Changes to a recipe from a TOML or YAML file.

    Raises:
      UsageError: it cannot be read, or is neither.
    """
    try:
        text = file.read_text("utf-8")
        values = yaml.safe_load(text) if file.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"The recipe {file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe {file} is not valid: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise UsageError(f"The recipe {file} has no fields: write lines such as `test = 0.1`, or `[schedule]`.")
    return values


def _merge(base: dict[str, Any], changes: Mapping[str, Any], source: str, place: str = "") -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if key not in base and place != "options.":
            known = ", ".join(base)
            raise UsageError(f"{source}: a recipe has no {place}{key}{_guess(key, list(base))}; it has {known}.")
        if key == "jitter" and isinstance(value, Mapping):
            value = _merge(base[key] or dataclasses.asdict(Jitter()), value, source, "jitter.")
        elif key == "heads" and isinstance(value, list):
            value = [_merge(dataclasses.asdict(Head()), head, source, "heads.") for head in value]
        elif isinstance(base.get(key), dict) and isinstance(value, Mapping):
            value = _merge(base[key], value, source, f"{place}{key}.")
        merged[key] = value
    return merged


def _guess(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key == "heads":
            for head in value:
                flat |= _flat({name: of for name, of in head.items() if name != "name"}, f"{head['name']}.")
        else:
            flat[prefix + key] = value if isinstance(value, str | int | float | None) else str(value)
    return flat
