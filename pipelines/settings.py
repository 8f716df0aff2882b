"""Make the one configuration of a run, at the edge: defaults, a file, options, and the models' checksums."""

import hashlib
import json
from pathlib import Path
from typing import Any

from models.bundle import bundle_path
from models.cards import read_card
from models.landmarks import landmark_sha256
from schemas.config import Config, ModelRef, read_config
from schemas.errors import UsageError

EMOTION_MODEL = "emotion"
AGE_GENDER_MODEL = "age-gender"


def make_config(
    file: str | None = None,
    *,
    emotion_model: str | None = EMOTION_MODEL,
    age_gender_model: str | None = AGE_GENDER_MODEL,
    age_model: str | None = None,
    gender_model: str | None = None,
    **settings: Any,
) -> Config:
    """The configuration of a run.

    Args:
      file: TOML file with settings; see `schemas.config`.
      emotion_model: bundle by name or path; None leaves the emotion columns null.
      age_gender_model: the same for age and gender; left out when one of the next two is given.
      age_model: bundle that age alone is taken from.
      gender_model: bundle that gender alone is taken from.
      **settings: settings by their plain names (`min_face=40`), which win over the file; None leaves one as it is.

    Raises:
      UsageError: the file or a setting is wrong.
      BundleError: a model is missing or damaged, or the landmark file is.
    """
    apart = age_model is not None or gender_model is not None
    if apart and age_gender_model not in (None, AGE_GENDER_MODEL):
        raise UsageError("Give --age-gender-model, or --age-model and --gender-model, not both.")
    config = Config()
    if file is not None:
        try:
            config = read_config(Path(file).read_text(encoding="utf-8"), file)
        except OSError as error:
            raise UsageError(f"The configuration {file} cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"The configuration {file} is not UTF-8 text.") from error
    config = config.override(**settings)
    wanted = {
        ("emotion",): emotion_model,
        ("age", "gender"): None if apart else age_gender_model,
        ("age",): age_model,
        ("gender",): gender_model,
    }
    return Config(
        sampling=config.sampling,
        detection=config.detection,
        tracking=config.tracking,
        quality=config.quality,
        aggregation=config.aggregation,
        models=tuple(model_ref(name, *attributes) for attributes, name in wanted.items() if name is not None),
        landmarks_sha256=landmark_sha256(),
    )


def model_ref(name: str, *attributes: str) -> ModelRef:
    """A model as the configuration names it, for some of the attributes that it gives.

    Raises:
      UsageError: the bundle does not give them.
      BundleError: there is no such bundle.
    """
    path = bundle_path(name)
    card = read_card(path)
    if missing := [attribute for attribute in attributes if attribute not in card.attributes]:
        raise UsageError(f"The model {name} gives {' and '.join(card.attributes)}, not {' and '.join(missing)}.")
    changes_results = {"geometry", "scale", "offset", "second_input", "mirror", "outputs", "unknown_below"}
    matters = card.model_dump(mode="json", include=changes_results)
    digest = hashlib.sha256(json.dumps(matters, sort_keys=True).encode()).hexdigest()
    own = name == card.name
    return ModelRef(name if own else str(path), tuple(attributes), card.sha256, digest, dict(card.figures))
