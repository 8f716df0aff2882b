"""Options that several commands have, and what follows from them."""

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.terminal import key_values

if TYPE_CHECKING:
    from schemas.config import Config

LOOK, RUN = "What to look for", "How to run"
"""Panels of `--help`."""


class Device(enum.StrEnum):
    """Where models run."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


MinFace = Annotated[
    int | None,
    typer.Option(
        min=20,
        metavar="PIXELS",
        help="Smallest face to find; half of it costs four times as much. \\[default: 60]",
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
EmotionModel = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH|none", help="Bundle for emotions.", rich_help_panel=LOOK, show_default=False),
]
AgeGenderModel = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH|none", help="Bundle for age and gender.", rich_help_panel=LOOK, show_default=False),
]
AgeModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH",
        help="Bundle for age alone; with it or the next, --age-gender-model is not used.",
        rich_help_panel=LOOK,
        show_default=False,
    ),
]
GenderModel = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="Bundle for gender alone.", rich_help_panel=LOOK, show_default=False),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Settings in TOML; options win over it. See docs/configuration.md.",
        rich_help_panel=LOOK,
    ),
]
RunsOn = Annotated[Device, typer.Option(help="Where the models run.", rich_help_panel=RUN)]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Of the object store, such as endpoint_override=HOST:PORT or region=eu-west-1; may be repeated. Keys come "
        "from the environment.",
        rich_help_panel=RUN,
        show_default=False,
    ),
]


def settings_of(
    config: str | None,
    *,
    emotion_model: str | None,
    age_gender_model: str | None,
    age_model: str | None,
    gender_model: str | None,
    **more: Any,
) -> "Config":
    """The configuration that a file and options make; `none` for a model leaves its columns null."""
    from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL, make_config

    names = {
        "emotion_model": emotion_model or EMOTION_MODEL,
        "age_gender_model": age_gender_model or AGE_GENDER_MODEL,
        "age_model": age_model,
        "gender_model": gender_model,
    }
    models = {option: None if name is None or name.lower() == "none" else name for option, name in names.items()}
    return make_config(config, **models, **more)


def use_stores(storage_options: Sequence[str] | None) -> dict[str, str]:
    """Says how this process reaches object stores; what was given, by name."""
    from schemas import storage

    options = key_values("--storage-options", storage_options or ())
    storage.configure(options)
    return options
