"""Make the one configuration of a run, at the edge: defaults, a file, options, and checksums of models and detector."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from models.bundle import bundle_path, weights_sha256
from models.cards import Attribute, read_card
from models.conversion import with_converted
from models.detectors.choose import settle
from models.detectors.choose import weights_sha256 as detector_sha256
from models.embeddings.choose import with_embedding
from models.landmarks import landmark_sha256
from models.runtime import Device
from runners.devices import tensorflow_sees_a_gpu
from schemas.config import Config, ModelRef, read_settings
from schemas.errors import UsageError

EMOTION_MODEL = "emotion"
AGE_GENDER_MODEL = "age-gender"
ATTRIBUTES: tuple[str, ...] = get_args(Attribute)

_Chosen = dict[tuple[str, ...], str]
"""Bundles by the attributes that are taken from them."""


def make_config(
    file: str | None = None,
    *,
    models: Sequence[str] = (),
    without: Sequence[str] = (),
    emotion_model: str | None = EMOTION_MODEL,
    age_gender_model: str | None = AGE_GENDER_MODEL,
    age_model: str | None = None,
    gender_model: str | None = None,
    **settings: Any,
) -> Config:
    """The configuration of a run.

    Args:
      file: TOML file with settings; see `schemas.config`.
      models: bundles by name or path; each replaces the default model for all attributes that its card names.
      without: attributes (emotion, age, gender) that are not read; their columns are null.
      emotion_model: bundle for emotion alone; None leaves the emotion columns null.
      age_gender_model: bundle for age and gender; None leaves both null. Not used if one of the next two is given.
      age_model: bundle for age alone.
      gender_model: bundle for gender alone.
      **settings: settings by their plain names (`min_face=40`), which win over the file; None leaves one as it is.

    Raises:
      UsageError: the file or a setting is wrong, or two models give the same attribute.
      BundleError: a model, the landmark file or the detector's weights are missing or damaged.
    """
    apart = age_model is not None or gender_model is not None
    if apart and age_gender_model not in (None, AGE_GENDER_MODEL):
        raise UsageError("Give --age-gender-model, or --age-model and --gender-model, not both.")
    given = {
        ("emotion",): emotion_model,
        ("age", "gender"): None if apart else age_gender_model,
        ("age",): age_model,
        ("gender",): gender_model,
    }
    defaults: _Chosen = {("emotion",): EMOTION_MODEL, ("age", "gender"): AGE_GENDER_MODEL}
    chosen = _choose({key: name for key, name in given.items() if name is not None}, defaults, models, without)
    values = _read(file) | {name: value for name, value in settings.items() if value is not None}
    return settled(
        dataclasses.replace(
            Config().override(**values),
            models=tuple(model_ref(name, *attributes) for attributes, name in chosen.items()),
            landmarks_sha256=landmark_sha256(),
        )
    )


def settled(config: Config, device: Device = "cpu") -> Config:
    """A configuration with all that it depends on written out.

    Args:
      config: a configuration for the CPU, as `make_config` gives it.
      device: "gpu": the configuration names the weights that run there.

    Returns:
      The same with the detector's own values and the checksum of its weights; likewise of the embedding, where persons
      are asked for.

    Raises:
      UsageError: there is no such detector or embedding.
      BundleError: the weights of one are missing or damaged.
    """
    detection, models = settle(config.detection), config.models
    if device == "gpu":
        models = tuple(model_ref(model.name, *model.attributes, device=device) for model in models)
    return with_embedding(
        dataclasses.replace(config, detection=detection, detector_sha256=detector_sha256(detection), models=models)
    )


def chosen_device(device: Device) -> Device:
    """The device that "auto" stands for: a GPU of this machine if TensorFlow can use one, otherwise the CPU.

    It is decided where a run is started, once for all of its workers, because CPU and GPU give other last digits.
    """
    if device != "auto":
        return device
    return "gpu" if tensorflow_sees_a_gpu() else "cpu"


def _read(file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return read_settings(Path(file).read_text(encoding="utf-8"), file)
    except OSError as error:
        raise UsageError(f"The configuration {file} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The configuration {file} is not UTF-8 text.") from error


def _choose(given: _Chosen, defaults: _Chosen, models: Sequence[str], without: Sequence[str]) -> _Chosen:
    """Which attributes are taken from which bundle.

    Args:
      given: chosen for their attributes: the defaults, and what replaces them.
      defaults: those of `given` that `models` may replace.
      models: bundles for all attributes that they give.
      without: attributes that are not read.
    """
    if unknown := sorted(set(without) - set(ATTRIBUTES)):
        raise UsageError(f"There is no attribute {unknown[0]!r}; known: {', '.join(ATTRIBUTES)}.")
    chosen: _Chosen = {}
    taken: dict[str, str] = {}
    for name in dict.fromkeys(models):
        wanted = tuple(attribute for attribute in read_card(bundle_path(name)).attributes if attribute not in without)
        _take(taken, wanted, name)
        chosen[wanted] = name
    for attributes, name in given.items():
        is_default = defaults.get(attributes) == name
        left = tuple(one for one in attributes if one not in without and not (is_default and one in taken))
        _take(taken, left, name)
        chosen[left] = name
    chosen.pop((), None)
    return dict(sorted(chosen.items(), key=lambda item: ATTRIBUTES.index(item[0][0])))


def _take(taken: dict[str, str], attributes: Sequence[str], name: str) -> None:
    """Notes from which bundle attributes are taken; none may be taken twice."""
    for attribute in attributes:
        if attribute in taken:
            raise UsageError(
                f"{taken[attribute]} and {name} both give {attribute}. Take each attribute from one model: "
                "--emotion-model, --age-model and --gender-model name a model for one attribute alone."
            )
        taken[attribute] = name


def model_ref(name: str, *attributes: str, device: Device = "cpu") -> ModelRef:
    """A model as the configuration names it, for some of the attributes that it gives.

    A bundle without a file for LiteRT gets it now; see `models.conversion`.

    Raises:
      UsageError: the bundle does not give them.
      BundleError: there is no such bundle.
    """
    path = bundle_path(name)
    card = read_card(path if device == "gpu" else with_converted(path))
    if missing := [attribute for attribute in attributes if attribute not in card.attributes]:
        raise UsageError(f"The model {name} gives {' and '.join(card.attributes)}, not {' and '.join(missing)}.")
    changes_results = {"geometry", "scale", "offset", "second_input", "mirror", "outputs", "unknown_below"}
    matters = card.model_dump(mode="json", include=changes_results)
    digest = hashlib.sha256(json.dumps(matters, sort_keys=True).encode()).hexdigest()
    own = name == card.name
    weights = weights_sha256(card, device)
    return ModelRef(name if own else str(path), tuple(attributes), weights, digest, dict(card.figures))
