"""`facelog image`: the faces in pictures."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipelines.cli.annotate import stopped
from pipelines.cli.options import (
    AgeGenderModel,
    AgeModel,
    ConfigFile,
    Detector,
    DetectorModel,
    Device,
    EmotionModel,
    GenderModel,
    MinFace,
    Models,
    RunsOn,
    StorageOptions,
    Without,
    settings_of,
    use_stores,
)
from pipelines.cli.terminal import exit_on_error, log_to
from pipelines.words import counted
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipelines.annotations.image import PictureFaces

_COPY = "Annotated copies"


def image(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...",
            help="Files, folders, globs, URLs, or - for a list on standard input.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER|FILE",
            help="Write annotated copies here: NAME.faces.jpg and so on in a folder, or one file.",
            rich_help_panel=_COPY,
            show_default=False,
        ),
    ] = None,
    blur: Annotated[
        bool,
        typer.Option(
            "--blur",
            help="Make faces unrecognizable in the copy; faces that were not found stay.",
            rich_help_panel=_COPY,
        ),
    ] = False,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels",
            help="Draw boxes and labels. \\[default: unless --blur]",
            rich_help_panel=_COPY,
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "-y", help="Replace existing copies.", rich_help_panel=_COPY)
    ] = False,
    detector: Detector = None,
    detector_model: DetectorModel = None,
    min_face: MinFace = None,
    models: Models = None,
    without: Without = None,
    emotion_model: EmotionModel = None,
    age_gender_model: AgeGenderModel = None,
    age_model: AgeModel = None,
    gender_model: GenderModel = None,
    config: ConfigFile = None,
    device: RunsOn = Device.auto,
    storage_options: StorageOptions = None,
) -> None:
    """Say which faces pictures show: box, emotion, age and gender, each with how sure that is.

    The figures are those that analyze writes for the same picture. Nothing is written without --out, and never over a
    picture. Exit status 3: some pictures could not be read.

        facelog image party.jpg
        facelog image holiday/ --out faces/
        facelog image party.jpg --blur --out anonymous.jpg
        facelog image 'scans/*.png' --min-face 40 --json
    """
    console, stderr = Console(highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    with exit_on_error(), stopped("stopped; copies that are done stay."), log_to(console, None):
        if out is None and (blur or labels is not None or overwrite):
            raise UsageError("--blur, --labels and --overwrite are about copies: say where they go with --out.")
        from pipelines.annotations.image import image as look_at

        use_stores(storage_options)
        settings = settings_of(
            config,
            models=models,
            without=without,
            emotion_model=emotion_model,
            age_gender_model=age_gender_model,
            age_model=age_model,
            gender_model=gender_model,
            detector=detector,
            detector_model=detector_model,
            min_face=min_face,
        )

        def show(picture: "PictureFaces") -> None:
            if picture.message:
                stderr.print(f"{picture.status}: {picture.message}", markup=False)
            if not as_json and not picture.is_bad:
                _print(picture, console, blur)

        found = look_at(
            pictures,
            config=settings,
            device=device.value,
            out=out,
            blur=blur,
            labels=labels,
            overwrite=overwrite,
            on_picture=show,
        )
        if as_json:
            print(json.dumps([dataclasses.asdict(picture) for picture in found], indent=2))
    raise typer.Exit(Exit.SOME_FAILED if any(picture.is_bad for picture in found) else Exit.DONE)


def _print(picture: "PictureFaces", console: Console, blur: bool) -> None:
    console.print(f"{picture.uri}: {counted(len(picture.faces), 'face')}", markup=False, soft_wrap=True, style="bold")
    if picture.faces:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("face", justify="right")
        for heading in ("box (x, y, width, height)", "emotion", "age", "gender", "quality"):
            table.add_column(heading)
        for face in picture.faces:
            table.add_row(*_cells(face))
        console.print(table)
    if picture.copy:
        done = f", {counted(len(picture.faces), 'face')} blurred" if blur else ""
        console.print(f"written: {picture.copy}{done}", markup=False, soft_wrap=True)


def _cells(face: dict[str, Any]) -> list[str]:
    from pipelines.face_words import age_words, emotion_words, flag_words, gender_words

    emotion = face["emotion"]
    return [
        str(face["track_id"]),
        ", ".join(f"{face[name]:.0f}" for name in ("x", "y", "width", "height")),
        emotion_words(emotion, emotion and face[f"emotion_{emotion}"]),
        age_words(face["age"], face["age_low"], face["age_high"]),
        gender_words(face["gender"], face["gender_female"]),
        ", ".join(flag_words(face["quality_flags"])) or "good",
    ]
