"""Options that several commands have, and the values that they give."""

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.detectors import summaries
from pipelines.cli.terminal import key_values

if TYPE_CHECKING:
    from schemas.config import Config

LOOK, RUN = "What to look for", "How to run"
"""Panels of `--help`."""


DETECTOR_HELP = "What finds faces. \\[default: yunet] " + " ".join(
    f"{name}: {summary}" for name, summary in summaries().items()
)


class Device(enum.StrEnum):
    """Devices that models run on."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Persons(enum.StrEnum):
    """How far persons are told apart."""

    within = "within"
    archive = "archive"


class Embedding(enum.StrEnum):
    """What compares faces."""

    sface = "sface"
    dlib = "dlib"


MinFace = Annotated[
    int | None,
    typer.Option(
        min=20,
        metavar="PIXELS",
        help="Smallest face to find; half of it costs four times as much. \\[default: the detector's; yunet: 40]",
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
Detector = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=DETECTOR_HELP,
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
DetectorModel = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="File of the detector's weights, in place of those that are installed.",
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help="Bundle to use in place of the default for all that it gives: emotion, age, gender; may be repeated. "
        "`facelog models list` names those that are here.",
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ATTRIBUTE",
        help="Do not read emotion, age or gender; its columns are null. May be repeated.",
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
# Names that --model had once, each for its attributes alone; they stay for scripts.
EmotionModel = Annotated[str | None, typer.Option(metavar="NAME|PATH|none", hidden=True)]
AgeGenderModel = Annotated[str | None, typer.Option(metavar="NAME|PATH|none", hidden=True)]
AgeModel = Annotated[str | None, typer.Option(metavar="NAME|PATH", hidden=True)]
GenderModel = Annotated[str | None, typer.Option(metavar="NAME|PATH", hidden=True)]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Settings in TOML; options win over it. See docs/configuration.md.",
        rich_help_panel=LOOK,
    ),
]
RunsOn = Annotated[
    Device,
    typer.Option(
        help="Where the models run; part of the configuration. auto: on a GPU if TensorFlow finds one here, otherwise "
        "on the CPU.",
        rich_help_panel=RUN,
    ),
]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Option of the object store, such as endpoint_override=HOST:PORT or region=eu-west-1; may be repeated. "
        "Its keys come from the environment.",
        rich_help_panel=RUN,
        show_default=False,
    ),
]


def settings_of(
    config: str | None,
    *,
    models: Sequence[str] | None,
    without: Sequence[str] | None,
    emotion_model: str | None,
    age_gender_model: str | None,
    age_model: str | None,
    gender_model: str | None,
    **more: Any,
) -> "Config":
    """The configuration that a file and options make; with `none` for a model its columns are null."""
    from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL, make_config

    names = {
        "emotion_model": emotion_model or EMOTION_MODEL,
        "age_gender_model": age_gender_model or AGE_GENDER_MODEL,
        "age_model": age_model,
        "gender_model": gender_model,
    }
    apart = {option: None if name is None or name.lower() == "none" else name for option, name in names.items()}
    return make_config(config, models=models or (), without=without or (), **apart, **more)


def use_stores(storage_options: Sequence[str] | None) -> dict[str, str]:
    """Sets how this process reaches object stores; returns the options by name."""
    from schemas import storage

    options = key_values("--storage-options", storage_options or ())
    storage.configure(options)
    return options
