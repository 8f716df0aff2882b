"""`facelog annotate`: a video with its faces marked, or blurred."""

import contextlib
import enum
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error
from pipelines.words import clock, counted
from schemas.errors import Exit, UsageError

if TYPE_CHECKING:
    from pipelines.annotations.annotate import AnnotatedVideo

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?)")


class Sound(enum.StrEnum):
    """What becomes of a video's sound."""

    COPY = "copy"
    AAC = "aac"
    OPUS = "opus"
    NONE = "none"


def parse_seconds(option: str, text: str) -> float:
    """Seconds of a time given as seconds, m:ss or h:mm:ss, each with or without decimals.

    Raises:
      UsageError: it is none of these.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None or (match[2] is not None and float(match[3]) >= 60) or (match[1] and int(match[2]) >= 60):
        raise UsageError(f"{option} {text}: give seconds (95.5) or a time (1:35.5, 1:02:03).")
    return 3600 * int(match[1] or 0) + 60 * int(match[2] or 0) + float(match[3])


def annotate(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The video: a file or URL.", show_default=False)],
    results: Annotated[
        str, typer.Argument(metavar="DIR", help="Output folder of facelog analyze.", show_default=False)
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE", help="The new video: .mp4, .m4v, .mov, .mkv or .webm.")
    ],
    blur: Annotated[
        bool, typer.Option("--blur", help="Make faces unrecognizable instead; faces that were not found stay.")
    ] = False,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels", help="Draw boxes and labels. \\[default: unless --blur]", show_default=False
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Begin here: seconds, or h:mm:ss.", show_default=False),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End before this time.", show_default=False)
    ] = None,
    audio: Annotated[
        Sound,
        typer.Option(
            "--audio",
            help="Copy the sound as it is, encode it anew as AAC or Opus (tracks that are so already are copied), or "
            "leave it out.",
        ),
    ] = Sound.COPY,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="The same as --audio none.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace FILE if it is there.")] = False,
    storage_options: StorageOptions = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")] = False,
) -> None:
    """Write VIDEO with boxes, numbers, emotion, age and gender of its faces, as the tables in DIR say; or blur them.

    VIDEO is recognized by its content, so its name and place do not matter. Sound and times stay as they are.
    Sound that a FILE of this ending cannot hold is refused at once, unless --audio says what becomes of it. Boxes move
    smoothly if the video was analyzed with --keep-observations, else from second to second.

    --blur hides the faces that the analysis found, shortly before and after as well. It cannot hide faces that were not
    found (small, turned away, covered), nor voices, names on screen or clothes: watch the result before you pass it on.

        facelog annotate holiday.mp4 results --out holiday.faces.mp4
        facelog annotate holiday.mp4 results --out part.mp4 --from 1:02:03 --to 1:02:30
        facelog annotate holiday.mp4 results --out anonymous.mp4 --blur --no-audio
    """
    console = Console(quiet=quiet, soft_wrap=True, highlight=False)
    with exit_on_error(), stopped("stopped; nothing was written."):
        from pipelines.annotations.annotate import annotate as write

        use_stores(storage_options)
        times = {
            name: parse_seconds(f"--{option}", text)
            for name, option, text in (("start", "from", start), ("end", "to", end))
            if text is not None
        }
        with _progress(console) as on_progress:
            written = write(
                video,
                results,
                out,
                blur=blur,
                labels=labels,
                audio="none" if no_audio else audio.value,
                overwrite=overwrite,
                on_progress=on_progress,
                **times,
            )
        for line in _lines(written, blur):
            console.print(line, markup=False)


def _lines(written: "AnnotatedVideo", blur: bool) -> list[str]:
    frames, tracks = counted(written.frames, "frame"), counted(written.n_tracks, "track")
    lines = [f"{written.path}: {frames}, {clock(written.seconds)}, {tracks} in the whole video"]
    if written.by_keyframes:
        lines.append("only faces in keyframes are known: analyze the video without --keyframes for all of them")
    elif not written.from_observations:
        lines.append(
            "boxes are exact once a second and estimated in between, for samples were not kept: analyze the video with "
            "--keep-observations into another folder for smooth ones"
        )
    if written.dropped:
        lines.append(f"{written.dropped} frames whose times go backwards were left out, as in the analysis")
    if written.damaged:
        lines.append(f"{written.damaged} damaged places were passed over")
    if blur:
        faces, of = counted(written.blurred_faces, "face"), counted(written.blurred_frames, "frame")
        lines.append(f"blurred: {faces} in {of}")
        lines.append("faces that the analysis did not find are not blurred: watch it before you pass it on")
    return lines


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Callable[[float, float | None], None] | None]:
    """A bar on a terminal, else nothing."""
    if not console.is_terminal or console.quiet:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("annotating", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def stopped(text: str) -> Iterator[None]:
    """The message of Ctrl-C in a command that does not resume."""
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True, soft_wrap=True).print(f"\nfacelog: {text}", highlight=False)
        raise typer.Exit(Exit.STOPPED) from None
