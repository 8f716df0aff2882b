"""`facelog live`: the faces of a camera or stream, while it goes on."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.options import (
    LOOK,
    RUN,
    ConfigFile,
    Detector,
    DetectorModel,
    Device,
    MinFace,
    Models,
    RunsOn,
    StorageOptions,
    Without,
    settings_of,
    use_stores,
)
from pipelines.cli.terminal import exit_on_error, log_to
from pipelines.words import clock, counted

if TYPE_CHECKING:
    from pipelines.cameras.watch import Now, Watched


def live(
    source: Annotated[
        str,
        typer.Argument(
            help="A camera (/dev/video0), an address (rtsp://, http://, https://, udp://), or - for standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the tables; made if it does not exist.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the source in the tables. \\[default: made of SOURCE]"),
    ] = None,
    keep_days: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Remove recordings of this source that ended more than N days ago. \\[default: never]",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Open the source again after this long without a frame.")
    ] = 10.0,
    sample_fps: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="N",
            help="Samples a second. \\[default: 4]",
            rich_help_panel=LOOK,
            show_default=False,
        ),
    ] = None,
    detector: Detector = None,
    detector_model: DetectorModel = None,
    min_face: MinFace = None,
    models: Models = None,
    without: Without = None,
    config: ConfigFile = None,
    device: RunsOn = Device.auto,
    storage_options: StorageOptions = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a log to this file.", rich_help_panel=RUN)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No display.", rich_help_panel=RUN)] = False,
) -> None:
    """Analyze a camera or stream while it goes on, into the tables faces, tracks, timeline and videos.

    Rows are in DIR within a minute, and report, query and serve read DIR while this runs. Each full hour (UTC) and
    each start of this command begins a row in videos, with its time of day in recorded_at. A source that is lost is
    opened again until it is back; the seconds in between have decode_ok = false in the timeline. Ctrl-C or SIGTERM
    ends it with whole tables (exit status 0). Pictures are not kept.

        facelog live /dev/video0 --out door --name front-door --keep-days 30
        facelog live rtsp://user:password@camera.local/stream1 --out door
        ffmpeg -i INPUT -c copy -f mpegts - | facelog live - --out door

    Passwords in SOURCE stay out of the tables and of all messages. docs/live.md says how to follow new rows.
    """
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    with exit_on_error(), log_to(console, log_file), _stop_signals() as stop:
        from pipelines.cameras.watch import live as watch

        stores = use_stores(storage_options)
        settings = settings_of(
            config,
            models=models,
            without=without,
            emotion_model=None,
            age_gender_model=None,
            age_model=None,
            gender_model=None,
            sample_fps=sample_fps,
            detector=detector,
            detector_model=detector_model,
            min_face=min_face,
        )
        with console.status("loading the models") as status:
            watched = watch(
                source,
                out,
                name=name,
                config=settings,
                device=device.value,
                keep_days=keep_days,
                timeout=timeout,
                stop=stop,
                say=lambda sentence: console.print(sentence, markup=False),
                show=lambda now: status.update(_line(now)),
                storage_options=stores,
            )
        for line in _summary(watched):
            console.print(line, markup=False)


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second one ends the process as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def set_it(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    for number in before:
        signal.signal(number, set_it)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(now: "Now") -> str:
    counts, row = now.counts, now.row
    parts = [counted(now.faces, "face"), counted(counts.frames, "frame")]
    if counts.dropped or counts.skipped:
        parts.append(f"dropped {counts.dropped} samples, skipped {counts.skipped} frames")
    if row is not None:
        parts.append(
            f"in the tables: {clock(row['duration'] or 0)}, {counted(row['face_seconds'] or 0, 'row')} of faces"
        )
    return ", ".join(parts)


def _summary(watched: "Watched") -> Iterator[str]:
    counts = watched.counts
    yield (
        f"{watched.out}: {counted(watched.videos, 'new row')} in videos, {clock(watched.seconds)}, "
        f"{counted(watched.face_seconds, 'row')} of faces"
    )
    if counts.dropped or counts.skipped:
        yield f"samples that were dropped: {counts.dropped}; frames that were not decoded: {counts.skipped}"
    if watched.removed:
        yield f"recordings that were removed because of their age: {watched.removed}"
