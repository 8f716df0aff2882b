"""The configuration of a run: one frozen value, made once at the edge, hashed, written into every output.

It holds all that changes rows, and nothing else. Where results go and how many workers there are is not part of it, so
two machines with the same `config_hash` write the same tables. A GPU runs other weights than a CPU, and the hash covers
the weights that run.
"""

import dataclasses
import functools
import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import pydantic_core
from pydantic.dataclasses import dataclass

from schemas.errors import UsageError

SCHEMA_VERSION = 1
ALGORITHM_VERSION = 2
"""Raised by hand whenever the code's results change for the same configuration."""


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise pydantic_core.PydanticCustomError("number", "takes a number")
    return value


def _all_frames(value: Any) -> Any:
    return None if value in ("all", math.inf) else value


_IsNumber = pydantic.BeforeValidator(_number)
_AnyNumber = Annotated[float, _IsNumber]
_Positive = Annotated[float, _IsNumber, pydantic.Field(gt=0)]
_NotNegative = Annotated[float, _IsNumber, pydantic.Field(ge=0)]
_Share = Annotated[float, _IsNumber, pydantic.Field(gt=0, le=1)]
_Count = Annotated[int, _IsNumber, pydantic.Field(gt=0)]


@dataclass(frozen=True)
class Sampling:
    """Which frames are looked at.

    Attributes:
      sample_fps: samples a second, on the grid k / sample_fps from second 0; None takes every frame.
      keyframes: whether only keyframes are decoded and sampled, to scan an archive; `sample_fps` is the most of them a
        second.
      segment_seconds: length in seconds of a restartable unit of work; cut at keyframes, so it is approximate. A
        segment of a scan is ten times as long.
      max_pixels: pixels of the largest frame that is decoded; a guard against decompression bombs.
    """

    sample_fps: Annotated[_Positive | None, pydantic.BeforeValidator(_all_frames)] = 4.0
    keyframes: bool = False
    segment_seconds: _Positive = 60.0
    max_pixels: _Count = 8192 * 8192


@dataclass(frozen=True)
class Detection:
    """How faces are found.

    Five settings are None where the detector's own value is meant. `models.detectors.choose.settle` writes these values
    out, so that the configuration of a run has numbers.

    Attributes:
      detector: name of the detector; see `models.detectors`.
      detect_every: seconds between two runs of the detector; the tracker does the samples in between.
      min_face: side in pixels of the smallest face to find, in the displayed frame.
      threshold: detector score from which a detection counts: two of them confirm a track.
      sure_threshold: score from which one detection confirms a track by itself.
      keep_threshold: score from which a detection may continue a track, or begin one that is not confirmed: a face that
        turns away scores low long before it is gone.
      cut_threshold: share of the picture that has to be new, in (0, 1], for a shot cut.
      detector_model: file of the detector's weights, in place of the installed ones. It is not hashed:
        `Config.detector_sha256` is.
    """

    detector: str = "yunet"
    detect_every: _NotNegative | None = None
    min_face: _Count | None = None
    threshold: _AnyNumber | None = None
    sure_threshold: _AnyNumber | None = None
    keep_threshold: _AnyNumber | None = None
    cut_threshold: _Positive = 0.43
    detector_model: str | None = None


@dataclass(frozen=True)
class Tracking:
    """How detections become tracks.

    Attributes:
      lost_after: seconds without a detection after which a track has ended.
      tracker_threshold: peak-to-sidelobe ratio of the correlation tracker below which a track is lost.
      match_iou: smallest overlap (intersection over union) of a detection with the track that it continues.
    """

    lost_after: _Positive = 2.0
    tracker_threshold: _NotNegative = 3.5
    match_iou: _Share = 0.3


@dataclass(frozen=True)
class Quality:
    """Limits from which a crop is flagged.

    Attributes:
      small_px: side of the face's box in pixels below which it is small.
      profile_degrees: |yaw| above which it is a profile.
      blurred_below: sharpness (variance of the Laplacian on the 48-pixel grey chip) below which it is blurred.
      dark_below: mean luma (0-255, full range) below which it is dark.
    """

    small_px: _NotNegative = 48.0
    profile_degrees: _Positive = 35.0
    blurred_below: _NotNegative = 60.0
    dark_below: _NotNegative = 50.0


@dataclass(frozen=True)
class Aggregation:
    """How samples become rows.

    Attributes:
      age_gender_samples: best samples of each track and second that age and gender are read from.
      smooth_seconds: standard deviation in seconds of the Gaussian that smooths columns; 0: no smoothing.
      stitch_iou: smallest mean overlap in the shared tail for two tracks of neighbouring segments to be one.
    """

    age_gender_samples: _Count = 2
    smooth_seconds: _NotNegative = 1.5
    stitch_iou: _Share = 0.3


@dataclass(frozen=True)
class Identity:
    """Whether persons are told apart, and how. Unless they are asked for, nothing of this is part of the configuration.

    Attributes:
      persons: "within": tracks of a video become persons, and no embedding is kept; "archive": embeddings are kept, so
        that `facelog persons` finds persons across videos; None: persons are not told apart.
      embedding: name of the embedding; see `models.embeddings`.
      embedding_crops: best crops of each track that it is computed of, no two of the same two seconds.
      same_above: mean cosine similarity from which two groups of tracks are one person; None: the embedding's own.
    """

    persons: Literal["within", "archive"] | None = None
    embedding: str = "sface"
    embedding_crops: _Count = 3
    same_above: _Share | None = None


@dataclass(frozen=True)
class ModelRef:
    """A model as a run uses it. Its checksums and attributes decide about results; its name does not.

    Attributes:
      name: bundle name, or the path that the user gave.
      attributes: the attributes that the run takes from it: emotion, or age, gender or both.
      sha256: hex digest of the bundle's weights that run: others on a GPU than on a CPU.
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


@dataclass(frozen=True)
class Config:
    """Everything that changes rows, in groups.

    Attributes:
      sampling: which frames are looked at.
      detection: how faces are found.
      tracking: how detections become tracks.
      quality: limits from which a crop is flagged.
      aggregation: how samples become rows.
      identity: whether persons are told apart, and how.
      models: the models that attributes are read with. No two give the same attribute; columns of an attribute without
        a model are null.
      landmarks_sha256: checksum of the 5-point landmark file.
      detector_sha256: checksum of the detector's weights; empty: it has none.
      embedding_sha256: checksum of the embedding's weights; empty: persons are not asked for.
    """

    sampling: Sampling = Sampling()
    detection: Detection = Detection()
    tracking: Tracking = Tracking()
    quality: Quality = Quality()
    aggregation: Aggregation = Aggregation()
    identity: Identity = Identity()
    models: tuple[ModelRef, ...] = ()
    landmarks_sha256: str = ""
    detector_sha256: str = ""
    embedding_sha256: str = ""

    @functools.cached_property
    def canonical_json(self) -> str:
        """The configuration as JSON with sorted keys: what is hashed and written into every footer."""
        values = dataclasses.asdict(self)
        del values["detection"]["detector_model"]
        values["models"] = {model.task: [model.sha256, model.card_sha256] for model in self.models}
        values |= {"schema_version": SCHEMA_VERSION, "algorithm_version": ALGORITHM_VERSION}
        if not self.detector_sha256:
            del values["detector_sha256"]
        if self.identity.persons is None:
            del values["identity"], values["embedding_sha256"]
        if not self.sampling.keyframes:
            del values["sampling"]["keyframes"]
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @functools.cached_property
    def hash(self) -> str:
        """Sha256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()

    @functools.cached_property
    def without_keyframes(self) -> Self:
        """The same configuration without the restriction to keyframes."""
        return self.override(keyframes=False) if self.sampling.keyframes else self

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """The settings in a footer's canonical JSON, also of an older or newer facelog.

        Settings that it does not name have their defaults; unknown ones are left out, and so are models, of which it
        has checksums alone.
        """
        values = json.loads(text)
        groups = {
            group: kind(**{name: values[group][name] for name in _names(kind) if name in values.get(group, {})})
            for group, kind in _KINDS.items()
        }
        sums = {name: values[name] for name in _CHECKSUMS if name in values}
        return cls(**groups, **sums)

    def model(self, attribute: str) -> ModelRef | None:
        """The model that gives an attribute."""
        return next((model for model in self.models if attribute in model.attributes), None)

    def override(self, **values: Any) -> Self:
        """A copy with some settings changed, by their plain names (`min_face=40`); None leaves one as it is.

        `sample_fps="all"` (or infinity) takes every frame. With another `detector`, the settings that each detector has
        values of its own for become that detector's, unless they are given too.

        Raises:
          UsageError: there is no such setting, or a value has the wrong type or range.
        """
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            if name not in _GROUP_OF:
                raise UsageError(f"There is no setting called {name!r}; known: {', '.join(sorted(_GROUP_OF))}.")
            if value is not None:
                groups.setdefault(_GROUP_OF[name], {})[name] = value
        detection = groups.get("detection", {})
        if detection.get("detector", self.detection.detector) != self.detection.detector:
            groups["detection"] = dict.fromkeys(DETECTORS_OWN) | detection
        changed = {group: _replaced(getattr(self, group), changes) for group, changes in groups.items()}
        return dataclasses.replace(self, **changed)


_CHECKSUMS = ("landmarks_sha256", "detector_sha256", "embedding_sha256")

DETECTORS_OWN = ("detect_every", "min_face", "threshold", "sure_threshold", "keep_threshold")
"""Settings that each detector has values of its own for."""

_KINDS = {
    "sampling": Sampling,
    "detection": Detection,
    "tracking": Tracking,
    "quality": Quality,
    "aggregation": Aggregation,
    "identity": Identity,
}
GROUPS = tuple(_KINDS)


def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def group_of_each(kinds: Mapping[str, Any]) -> dict[str, str]:
    """By plain name of a setting, the group that it is in.

    Raises:
      TypeError: two groups have a setting of one name.
    """
    groups: dict[str, str] = {}
    for group, kind in kinds.items():
        for name in _names(kind):
            if name in groups:
                raise TypeError(
                    f"{groups[name]} and {group} both have a setting {name}, which is set by its name alone"
                )
            groups[name] = group
    return groups


_GROUP_OF = group_of_each(_KINDS)


def setting_names() -> list[str]:
    """Plain names of all settings that `override` and a configuration file take."""
    return list(_GROUP_OF)


def read_settings(text: str, source: str = "configuration") -> dict[str, Any]:
    """Settings from TOML, in tables named like the groups (`[detection] min_face = 40`) or without tables.

    Args:
      text: the file's text.
      source: its name, for messages.

    Returns:
      The settings by their plain names, as `Config.override` takes them.

    Raises:
      UsageError: it is not TOML, or has an unknown table, an unknown setting or a bad value.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source} is not valid TOML: {error}") from error
    settings: dict[str, Any] = {}
    try:
        for key, value in document.items():
            if not isinstance(value, dict):
                settings[key] = value
                continue
            if key not in GROUPS:
                raise UsageError(f"There is no table [{key}]; known: {', '.join(GROUPS)}.")
            if stray := set(value) - set(_names(_KINDS[key])):
                raise UsageError(f"[{key}] has no setting {', '.join(sorted(stray))}.")
            settings |= value
        Config().override(**settings)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error
    return settings


def _replaced(group: Any, changes: dict[str, Any]) -> Any:
    try:
        return dataclasses.replace(group, **changes)
    except pydantic.ValidationError as error:
        raise UsageError(_sentence(error.errors()[0])) from error


def _sentence(error: Any) -> str:
    """What is wrong with a setting, in words."""
    limits = error.get("ctx", {})
    expected = {
        "number": "takes a number",
        "int_from_float": "takes a whole number",
        "string_type": "takes a name",
        "literal_error": f"must be {limits.get('expected')}",
        "greater_than": f"must be above {limits.get('gt'):g}" if "gt" in limits else "",
        "greater_than_equal": f"must be {limits.get('ge'):g} or more" if "ge" in limits else "",
        "less_than_equal": f"must be at most {limits.get('le'):g}" if "le" in limits else "",
    }.get(error["type"], error["msg"])
    return f"{error['loc'][0]} {expected}, not {error['input']!r}."
