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
    **settings: Any,
) -> Config:
    """The configuration of a run.

    Args:
      file: TOML file with settings; see `schemas.config`.
      emotion_model: bundle by name or path; None leaves the emotion columns null.
      age_gender_model: the same for age and gender.
      **settings: settings by their plain names (`min_face=40`), which win over the file; None leaves one as it is.

    Raises:
      UsageError: the file or a setting is wrong.
      BundleError: a model is missing or damaged, or the landmark file is.
    """
    config = Config()
    if file is not None:
        try:
            config = read_config(Path(file).read_text(encoding="utf-8"), file)
        except OSError as error:
            raise UsageError(f"The configuration {file} cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"The configuration {file} is not UTF-8 text.") from error
    config = config.override(**settings)
    return Config(
        sampling=config.sampling,
        detection=config.detection,
        tracking=config.tracking,
        quality=config.quality,
        aggregation=config.aggregation,
        emotion=model_ref(emotion_model, "emotion"),
        age_gender=model_ref(age_gender_model, "age_gender"),
        landmarks_sha256=landmark_sha256(),
    )


def model_ref(name: str | None, task: str) -> ModelRef | None:
    """A model as the configuration names it.

    Raises:
      UsageError: the bundle is for another task.
      BundleError: there is no such bundle.
    """
    if name is None:
        return None
    path = bundle_path(name)
    card = read_card(path)
    if card.task != task:
        raise UsageError(f"The model {name} is for {card.task}, not for {task}.")
    matters = card.model_dump(mode="json", include={"geometry", "calibration", "unknown_below", "classes"})
    digest = hashlib.sha256(json.dumps(matters, sort_keys=True).encode()).hexdigest()
    own = name == card.name
    return ModelRef(name if own else str(path), card.sha256, digest, dict(card.figures))
