"""The configuration of a run: one frozen value, made once at the edge, hashed, written into every output.

Only what changes rows is in here. Where results go, how many workers there are and on what device they run is not, so
two machines with the same `config_hash` write the same tables.
"""

import dataclasses
import hashlib
import json
import math
import tomllib
import types
from typing import Any, Self, get_args, get_type_hints

from schemas.errors import UsageError

SCHEMA_VERSION = 1
ALGORITHM_VERSION = 1
"""Raised by hand whenever the code's results change for the same configuration."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Which frames are looked at.

    Attributes:
      sample_fps: samples a second, on the grid k / sample_fps from second 0; None takes every frame.
      segment_seconds: seconds of video in one restartable unit of work (cut at keyframes, so "about").
      max_pixels: pixels of the largest frame that is decoded; a guard against decompression bombs.
    """

    sample_fps: float | None = 4.0
    segment_seconds: float = 60.0
    max_pixels: int = 8192 * 8192


@dataclasses.dataclass(frozen=True)
class Detection:
    """How faces are found.

    Attributes:
      detector: name of the detector; `hog` is dlib's frontal HOG detector.
      detect_every: seconds between two runs of the detector; samples in between are left to the tracker.
      min_face: smallest face to find, in square pixels of the displayed frame; 80 is HOG without scaling.
      threshold: detector score from which a detection may begin a track (dlib's margin, unbounded).
      keep_threshold: score from which it may continue one: a face that turns away scores low long before it is gone.
      cut_threshold: 1 - correlation of two samples' thumbnails, in [0, 2], from which there is a shot cut.
    """

    detector: str = "hog"
    detect_every: float = 0.5
    min_face: int = 60
    threshold: float = 0.0
    keep_threshold: float = -0.5
    cut_threshold: float = 0.75


@dataclasses.dataclass(frozen=True)
class Tracking:
    """How detections become tracks.

    Attributes:
      lost_after: seconds without a detection after which a track has ended.
      tracker_threshold: peak-to-sidelobe ratio of the correlation tracker below which a track is lost.
      match_iou: smallest overlap (intersection over union) of a detection with the track that it continues.
    """

    lost_after: float = 2.0
    tracker_threshold: float = 3.5
    match_iou: float = 0.3


@dataclasses.dataclass(frozen=True)
class Quality:
    """From where on a crop is flagged.

    Attributes:
      small_px: side of the face's box in pixels below which it is small.
      profile_degrees: |yaw| above which it is a profile.
      blurred_below: sharpness (variance of the Laplacian on the 48-pixel grey chip) below which it is blurred.
      dark_below: mean luma (0-255, full range) below which it is dark.
    """

    small_px: float = 48.0
    profile_degrees: float = 35.0
    blurred_below: float = 60.0
    dark_below: float = 50.0


@dataclasses.dataclass(frozen=True)
class Aggregation:
    """How samples become rows.

    Attributes:
      age_gender_samples: best samples of each track and second that age and gender are read from.
      smooth_seconds: standard deviation, in seconds, of the Gaussian behind the smoothed columns.
      stitch_iou: smallest mean overlap in the shared tail for two tracks of neighbouring segments to be one.
    """

    age_gender_samples: int = 2
    smooth_seconds: float = 1.5
    stitch_iou: float = 0.3


@dataclasses.dataclass(frozen=True)
class ModelRef:
    """A model as a run uses it; checksums and attributes decide about results, names do not.

    Attributes:
      name: bundle name, or the path that the user gave.
      attributes: which of the model's attributes the run takes from it: emotion, or age, gender or both.
      sha256: hex digest of the bundle's weights.
      card_sha256: hex digest of what else in its card changes results: crop geometry, calibration, thresholds.
      figures: test figures of the card, for the footers.
    """

    name: str
    attributes: tuple[str, ...]
    sha256: str
    card_sha256: str = ""
    figures: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def task(self) -> str:
        """The attributes as one word: emotion, age_gender, age or gender."""
        return "_".join(self.attributes)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that changes rows, in groups.

    Attributes:
      sampling: which frames are looked at.
      detection: how faces are found.
      tracking: how detections become tracks.
      quality: from where on a crop is flagged.
      aggregation: how samples become rows.
      models: what attributes are read with; each attribute at most once, one without a model is null everywhere.
      landmarks_sha256: checksum of the 5-point landmark file.
    """

    sampling: Sampling = Sampling()
    detection: Detection = Detection()
    tracking: Tracking = Tracking()
    quality: Quality = Quality()
    aggregation: Aggregation = Aggregation()
    models: tuple[ModelRef, ...] = ()
    landmarks_sha256: str = ""

    @property
    def canonical_json(self) -> str:
        """The configuration as JSON with sorted keys: what is hashed and written into every footer."""
        values = dataclasses.asdict(self)
        values["models"] = {model.task: [model.sha256, model.card_sha256] for model in self.models}
        values |= {"schema_version": SCHEMA_VERSION, "algorithm_version": ALGORITHM_VERSION}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """Sha256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()

    def model(self, attribute: str) -> ModelRef | None:
        """The model that gives an attribute."""
        return next((model for model in self.models if attribute in model.attributes), None)

    def override(self, **values: Any) -> Self:
        """A copy with some settings changed, by their plain names (`min_face=40`); None leaves one as it is.

        `sample_fps="all"` (or infinity) takes every frame.

        Raises:
          UsageError: no such setting, or a value of the wrong type or range.
        """
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            if value is None:
                continue
            group = next((g for g in GROUPS if name in _fields(getattr(self, g))), None)
            if group is None:
                raise UsageError(f"There is no setting called {name!r}; known: {', '.join(sorted(setting_names()))}.")
            groups.setdefault(group, {})[name] = _checked(getattr(self, group), name, value)
        changed = {g: dataclasses.replace(getattr(self, g), **v) for g, v in groups.items()}
        return dataclasses.replace(self, **changed)


GROUPS = ("sampling", "detection", "tracking", "quality", "aggregation")
_MAY_BE_NEGATIVE = {"threshold", "keep_threshold"}
_MAY_BE_ZERO = {"tracker_threshold", "small_px", "blurred_below", "dark_below", "smooth_seconds", "detect_every"}
_AT_MOST_ONE = {"match_iou", "stitch_iou"}


def setting_names() -> list[str]:
    """Plain names of all settings that `override` and a configuration file take."""
    return [name for group in GROUPS for name in _fields(getattr(Config(), group))]


def read_config(text: str, source: str = "configuration", base: Config | None = None) -> Config:
    """Settings from TOML, in tables named like the groups (`[detection] min_face = 40`) or without tables.

    Args:
      text: the file's text.
      source: its name, for messages.
      base: what the settings change; default: facelog's defaults.

    Raises:
      UsageError: no TOML, an unknown table or setting, a bad value.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source} is not valid TOML: {error}") from error
    config = base or Config()
    try:
        for key, value in document.items():
            if not isinstance(value, dict):
                config = config.override(**{key: value})
                continue
            if key not in GROUPS:
                raise UsageError(f"There is no table [{key}]; known: {', '.join(GROUPS)}.")
            if stray := set(value) - set(_fields(getattr(config, key))):
                raise UsageError(f"[{key}] has no setting {', '.join(sorted(stray))}.")
            config = config.override(**value)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error
    return config


def _fields(group: Any) -> dict[str, Any]:
    return get_type_hints(type(group))


def _checked(group: Any, name: str, value: Any) -> Any:
    hint = _fields(group)[name]
    kind = next(t for t in (get_args(hint) or (hint,)) if t is not types.NoneType)
    if kind is str:
        if not isinstance(value, str):
            raise UsageError(f"{name} takes a name, not {value!r}.")
        return value
    if name == "sample_fps" and value in ("all", math.inf):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name} takes a number, not {value!r}.")
    if kind is int and value != int(value):
        raise UsageError(f"{name} takes a whole number, not {value!r}.")
    if name not in _MAY_BE_NEGATIVE and (value < 0 or (value == 0 and name not in _MAY_BE_ZERO)):
        raise UsageError(f"{name} must be {'0 or more' if name in _MAY_BE_ZERO else 'above 0'}, not {value!r}.")
    if name in _AT_MOST_ONE and value > 1:
        raise UsageError(f"{name} must be at most 1, not {value!r}.")
    return kind(value)
