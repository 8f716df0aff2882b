"""Recipes: the settings that models are trained with. A file and the options of `facelog train` can change them.

The shipped models have the recipes `emotion`, `emotion-fer2013` and `age-gender`. `emotion-wide` trains `emotion`
further on sets that people get under agreements. Every network of the zoo has a recipe under its own name, with its
published settings where they are known.
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
    """Epochs, batches and learning rate.

    Attributes:
      epochs: passes over the pictures.
      batch: pictures per step.
      rate: highest learning rate.
      optimizer: "sgd" has Nesterov momentum 0.9.
      decay: how the rate falls. "cosine": to a hundredth; "plateau": by half whenever the loss on the calibration part
        has not improved for three epochs; "steps": to a fifth at a quarter, half and three quarters of the epochs
        (S. Zagoruyko and N. Komodakis, 2016); "constant": not at all.
      warmup: epochs in which the rate rises from `rate` / 10 to `rate`; for "cosine" only.
      patience: epochs without a better loss on the calibration part, after which training stops and takes the best
        weights; None: train all epochs.
      ema: momentum of an exponential moving average of the weights; the average is kept in the end. 0: no average.
      seed: for the initial weights, the order of pictures and augmentation.
      mixed: compute in bfloat16. This halves the time of a step on CPUs with AVX-512 BF16. On two busy EPYC cores that
        have AVX2 only, a step took 7.2 s instead of 1.6 s (2.8 million weights, batches of 96).
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
    """Ranges of the random changes to training pictures; every draw is uniform.

    Attributes:
      degrees: largest rotation, to either side.
      scale: smallest and largest size of the face, as a multiple of its own.
      shift: largest shift in each direction, as a share of the chip.
      contrast: the difference from the mean is multiplied by 1 ± this.
      brightness: largest change of brightness, as a share of the full range.
      erase: side of the square that is greyed out, as a share of the chip; 0 for none.
      mixup: parameter of `training.learning.mixup`, which blends pairs of pictures; 0 for none.
      stretch: by how much the proportions may change: width over height is multiplied by 1 ± this.
      slant: sideways shift of the top against the bottom, ± this share of the height.
      gamma: exponent of the brightness, from 1 / (1 + this) to 1 + this.
      light: light from one side: the brightness in opposite corners is multiplied by up to 1 + this and 1 - this.
      focus: weight of a blurred copy that is blended in, at most this; a negative weight, down to minus this, sharpens.
      coarse: share of the pictures that are halved in size and enlarged again.
      grey: share of colour pictures that lose their colour; half of the others lose a part of it. 0: none does.
      copies: for a network with a second input: of so many changed copies of each picture it is computed beforehand.
        One of them, or the one of the plain picture, stands beside the chip.
    """

    degrees: float = 10.0
    scale: tuple[float, float] = (0.88, 1.12)
    shift: float = 0.07
    contrast: float = 0.3
    brightness: float = 0.12
    erase: float = 0.25
    mixup: float = 0.0
    stretch: float = 0.0
    slant: float = 0.0
    gamma: float = 0.0
    light: float = 0.0
    focus: float = 0.0
    coarse: float = 0.0
    grey: float = 0.0
    copies: int = 0


@dataclasses.dataclass(frozen=True)
class Head:
    """One reading of the emotion labels. Each head is an output on the same trunk, and becomes a bundle of its own.

    Attributes:
      name: name of the output, where there are several heads.
      suffix: ending of its bundle's name, after the name of the first bundle.
      votes: weight of FER+'s votes in a target, where there are any; the data set's own label has the rest. Above 0.5,
        the head is also calibrated on and evaluated by FER+'s majority.
      smoothing: share of each target that is spread evenly over the classes.
      balance: power of the class shares by which logits are corrected in training, after Menon et al. (ICLR 2021). With
        0 the network rarely predicts rare classes (disgust: 1.5 %), with 1 every class has the same weight.
      recall_cost: accuracy on the training pictures that may be given up for a higher mean recall; for this a multiple
        of the classes' negative log shares is added to the logits. 0: nothing is added.
    """

    name: str = "emotion"
    suffix: str = ""
    votes: float = 0.0
    smoothing: float = 0.0
    balance: float = 0.0
    recall_cost: float = 0.0

    @property
    def by_votes(self) -> bool:
        """Whether the head is evaluated by the majority of FER+'s ten annotators."""
        return self.votes > 0.5


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of the losses of age and gender.

    Attributes:
      age_sigma: standard deviation of a stated age, in years. An exact age becomes a normal distribution around it
        (B.-B. Gao et al., Deep label distribution learning with label ambiguity, TIP 2017); the ages of children have a
        smaller one, see `stated_sigma`. Outside of a stated range, the likelihood falls in the same way. 0: stated ages
        are exact, and the loss is the plain cross-entropy.
      age_error: weight of the absolute error of the mean age, in years, beside that likelihood.
      gender: weight of the cross-entropy of gender.
      age_balance: how much more rare ages count: a picture's weight is the share of its age among the stated ages to
        the power of minus this. 0: each picture counts the same.
    """

    age_sigma: float = 0.0
    age_error: float = 0.0
    gender: float = 1.0
    age_balance: float = 0.0


@dataclasses.dataclass(frozen=True)
class Mix:
    """What each epoch draws of several sets of expressions, whatever their sizes; see `training.data.mixing`.

    Attributes:
      voted: share of FER2013's pictures. All of them come in each epoch.
      wild: share of faces from the web and from films; also of folders.
      posed: share of performers.
      balance: how much classes of the latter two are evened out: 0 not at all, 1 they come alike.
      least: share of FER2013's pictures that each class has at least, by its votes.
      repeats: how often an epoch has the same picture, at most.
      most: how many pictures of a class are taken from a set without votes, at most.
      fill: whether uniform surroundings of faces that were cut out are filled; not in FER2013.
    """

    voted: float = 0.5
    wild: float = 0.28
    posed: float = 0.22
    balance: float = 1.0
    least: float = 0.03
    repeats: int = 4
    most: int = 3000
    fill: bool = True


@dataclasses.dataclass(frozen=True)
class Further:
    """What a training that begins from another network keeps of it.

    Attributes:
      start: the bundle that it begins from, unless another one is given.
      taught: share of the beginning network's answers in the targets of FER2013's pictures.
      kept: share of the beginning network's weights in the result (M. Wortsman et al., Robust fine-tuning of zero-shot
        models, CVPR 2022).
    """

    start: str = "emotion"
    taught: float = 0.0
    kept: float = 0.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a model is trained with.

    Attributes:
      network: name of the network in `models.zoo`.
      schedule: epochs, batches and learning rate.
      jitter: augmentation; None for none.
      options: arguments of the network's builder, such as dropout or the weights of a trunk.
      heads: readings of the emotion labels, one for each bundle; for networks of emotion only.
      weights: weights of the losses; for networks of age and gender only.
      test: share of a data set that is held back for evaluation, if the set has no validation or test split of its own.
      calibration: share of the training pictures that is held back for calibration.
      mirror: whether the bundle averages the outputs of a chip and of its mirror image, which takes twice the time.
      unknown_below: a gender less probable than this is reported as unknown; for the card.
      mix: what an epoch draws of the sets of expressions; None: every picture once.
      further: what is kept of the network that the training begins from; None: nothing is.
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
    mix: Mix | None = None
    further: Further | None = None

    def flat(self) -> dict[str, str | int | float | bool | None]:
        """The fields that apply to the network, for a card; nested ones as `outer.inner`."""
        fields = dataclasses.asdict(self)
        of_emotions = find_network(self.network).attributes == ("emotion",)
        for name in ("weights", "unknown_below") if of_emotions else ("heads",):
            del fields[name]
        return _flat(fields)

    def decisive(self) -> dict[str, str | int | float | bool | None]:
        """The fields that the trained weights depend on."""
        later = ("recall_cost", "mirror", "unknown_below")
        return {name: value for name, value in self.flat().items() if name.split(".")[-1] not in later}


# With nine tenths from FER+, an emotion that has more than half of the votes is also the most likely target.
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

_EMOTION_WIDE = dataclasses.replace(
    _EMOTION,
    schedule=Schedule(epochs=7, batch=96, rate=0.03, warmup=0.3, ema=0.998),
    jitter=Jitter(
        degrees=15.0,
        scale=(0.82, 1.18),
        shift=0.09,
        contrast=0.4,
        mixup=0.2,
        stretch=0.15,
        slant=0.1,
        gamma=0.5,
        light=0.5,
        focus=0.8,
        coarse=0.15,
    ),
    options={"dropout": 0.2, "decay": 1e-4},
    heads=(Head("votes", votes=0.9, smoothing=0.03, balance=0.3, recall_cost=0.02),),
    mix=Mix(),
    further=Further(taught=0.5, kept=0.2),
)

SHIPPED = {"emotion": _EMOTION, "emotion-fer2013": _EMOTION_FER2013, "age-gender": _AGE_GENDER}
"""Recipes of the bundles that come with the package."""
RECIPES = SHIPPED | {"emotion-wide": _EMOTION_WIDE}
_OURS = {"emotion-resnet": _EMOTION_FER2013, "age-gender-resnet": _AGE_GENDER}


def find_recipe(name: str) -> Recipe:
    """The recipe of a shipped model or of a network of the zoo.

    Raises:
      UsageError: there is none of this name.
    """
    if name in RECIPES or name in _OURS:
        return (RECIPES | _OURS)[name]
    if name in ZOO:
        return _of_the_zoo(find_network(name))
    known = [*RECIPES, *ZOO]
    raise UsageError(f"There is no recipe {name!r}{_guess(name, known)}; there are {', '.join(known)}.")


def _of_the_zoo(network: Network) -> Recipe:
    training = network.training
    emotion = network.attributes == ("emotion",)
    jitter = Jitter(copies=2 if network.second_input else 0) if emotion else Jitter(shift=0.05, erase=0.2)
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
        jitter=jitter,
    )


def change(recipe: Recipe, changes: Mapping[str, Any], source: str) -> Recipe:
    """A copy of a recipe with some fields changed.

    Args:
      recipe: the original.
      changes: fields and their new values; nested ones as dicts: {"schedule": {"epochs": 3}}.
      source: where the changes come from, for error messages.

    Raises:
      UsageError: there is no such field, or its value is not valid.
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
      UsageError: the file cannot be read, or is not valid.
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


_OPTIONAL: dict[str, Any] = {"jitter": Jitter, "mix": Mix, "further": Further}


def _merge(base: dict[str, Any], changes: Mapping[str, Any], source: str, place: str = "") -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if key not in base and place != "options.":
            known = ", ".join(base)
            raise UsageError(f"{source}: a recipe has no {place}{key}{_guess(key, list(base))}; it has {known}.")
        if key in _OPTIONAL and isinstance(value, Mapping):
            value = _merge(base[key] or dataclasses.asdict(_OPTIONAL[key]()), value, source, f"{key}.")
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
