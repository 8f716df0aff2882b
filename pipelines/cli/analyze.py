"""`facelog analyze`, and `facelog demo`, which makes a clip and analyzes it."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import (
    LOOK,
    RUN,
    AgeGenderModel,
    AgeModel,
    ConfigFile,
    Detector,
    DetectorModel,
    Device,
    Embedding,
    EmotionModel,
    GenderModel,
    MinFace,
    Models,
    Persons,
    RunsOn,
    StorageOptions,
    Without,
    settings_of,
    use_stores,
)
from pipelines.cli.terminal import MORE, exit_on_error, log_to
from schemas.errors import UsageError

_FILES, _FLINK = "Which files", "On Flink"


def parse_time(text: str) -> datetime | timedelta:
    """Reads a date, a date with time (in this machine's zone unless it names one), or an age such as `36h` or `7d`."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", text.strip()):
        unit = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[match[2]]
        return timedelta(**{unit: float(match[1])})
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except ValueError:
        raise UsageError(f"--newer-than {text}: give a date (2026-11-01), a time, or an age (36h, 7d).") from None


def parse_fps(text: str) -> float:
    """Reads samples a second; `all` is infinity."""
    if text.strip().lower() == "all":
        return float("inf")
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--sample-fps {text}: give a number, or all for every frame.") from None


def analyze(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders, globs, URLs (s3://, gs://, abfs://), or - for a list on standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the tables; made if it does not exist.")
    ],
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Leave out names or paths that match; may be repeated.",
            rich_help_panel=_FILES,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Analyze at most this many files.", rich_help_panel=_FILES)
    ] = None,
    newer_than: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only files modified after a date (2026-11-01) or within an age (36h, 7d).",
            rich_help_panel=_FILES,
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Leave out files in folders that were modified less than this long ago.",
            rich_help_panel=_FILES,
        ),
    ] = 0.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed files again.", rich_help_panel=_FILES)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only list the files, with their hours and bytes, and an estimate of time and space.",
            rich_help_panel=_FILES,
        ),
    ] = False,
    sample_fps: Annotated[
        str | None,
        typer.Option(
            metavar="N|all", help="Samples a second. \\[default: 4]", rich_help_panel=LOOK, show_default=False
        ),
    ] = None,
    keyframes: Annotated[
        bool | None,
        typer.Option(
            "--keyframes/--no-keyframes",
            help="Decode and sample only keyframes: a scan, to see what is in an archive. A later run without it goes "
            "over the same results.",
            rich_help_panel=LOOK,
            show_default=False,
        ),
    ] = None,
    detector: Detector = None,
    detector_model: DetectorModel = None,
    min_face: MinFace = None,
    detect_every: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            rich_help_panel=LOOK,
            show_default=False,
            help="Time between two runs of the detector; the tracker does the rest. "
            "\\[default: the detector's; yunet: 0, every sample]",
        ),
    ] = None,
    lost_after: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            rich_help_panel=LOOK,
            show_default=False,
            help="A track ends after this time without a detection. \\[default: 2]",
        ),
    ] = None,
    models: Models = None,
    without: Without = None,
    emotion_model: EmotionModel = None,
    age_gender_model: AgeGenderModel = None,
    age_model: AgeModel = None,
    gender_model: GenderModel = None,
    config: ConfigFile = None,
    keep_observations: Annotated[
        bool,
        typer.Option(
            "--keep-observations", help="Keep every sample of every face under DIR/observations.", rich_help_panel=LOOK
        ),
    ] = False,
    persons: Annotated[
        Persons | None,
        typer.Option(
            help="Tell persons apart by their faces: within each video, or also across the archive, which keeps "
            "biometric data under DIR/embeddings; see docs/persons.md. \\[default: no]",
            rich_help_panel=LOOK,
            show_default=False,
        ),
    ] = None,
    embedding: Annotated[
        Embedding | None,
        typer.Option(
            help="What compares faces for --persons. \\[default: sface]", rich_help_panel=LOOK, show_default=False
        ),
    ] = None,
    runner: Annotated[
        str,
        typer.Option(
            metavar="local|flink|direct",
            help="local: worker processes. flink: a cluster. direct: Beam in this process.",
            rich_help_panel=RUN,
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Worker processes. \\[default: one for each core]", rich_help_panel=RUN, show_default=False
        ),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How often a segment may end its worker. \\[default: 3, on a cluster 6]",
            rich_help_panel=RUN,
            show_default=False,
        ),
    ] = None,
    device: RunsOn = Device.auto,
    storage_options: StorageOptions = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a log to this file.", rich_help_panel=RUN)
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No display and no summary.", rich_help_panel=RUN)
    ] = False,
    flink_master: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="REST address of the job manager.", rich_help_panel=_FLINK),
    ] = None,
    flink_version: Annotated[
        str | None,
        typer.Option(metavar="X.Y", help="\\[default: the cluster's own]", rich_help_panel=_FLINK, show_default=False),
    ] = None,
    flink_job_server_jar: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="Beam's job server. \\[default: Beam downloads it]",
            rich_help_panel=_FLINK,
            show_default=False,
        ),
    ] = None,
    parallelism: Annotated[
        int | None,
        typer.Option(
            min=1, help="Slots to use. \\[default: all of the cluster]", rich_help_panel=_FLINK, show_default=False
        ),
    ] = None,
    workers_per_host: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Python processes beside each task manager. \\[default: one for each slot]",
            rich_help_panel=_FLINK,
            show_default=False,
        ),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Leave as soon as the job is at work.", rich_help_panel=_FLINK),
    ] = False,
) -> None:
    """Analyze videos and pictures into the tables faces, tracks, timeline and videos.

    Files that are done are not done again, so the same command continues after a stop, a crash, or with new files. A
    file that cannot be read does not stop the run; its row in videos says what is wrong.

    Exit status: 0 done; 3 finished, but some files are corrupt or failed; 2 the call is wrong; 1 the run itself
    failed; 130 stopped by Ctrl-C.

        facelog analyze archive/ --out results
        find archive -name '*.mxf' | facelog analyze - --out results
        facelog analyze archive/ --out results --min-face 40 --dry-run
        facelog analyze archive/ --out results --persons within
        facelog analyze archive/ --out results --keyframes
        facelog analyze s3://archive/ --out s3://results/run1 --runner flink --flink-master HOST:8081

    With --runner flink, options of Beam can follow after --.
    """
    console = Console(quiet=quiet)
    with exit_on_error(), log_to(console, log_file):
        from pipelines.inputs import Inputs
        from pipelines.runs.analyze_archive import analyze
        from pipelines.runs.dry_run import plan_run
        from runners.options import parse_runner

        settings = settings_of(
            config,
            models=models,
            without=without,
            emotion_model=emotion_model,
            age_gender_model=age_gender_model,
            age_model=age_model,
            gender_model=gender_model,
            sample_fps=parse_fps(sample_fps) if sample_fps else None,
            keyframes=keyframes,
            detector=detector,
            detector_model=detector_model,
            min_face=min_face,
            detect_every=detect_every,
            lost_after=lost_after,
            persons=persons and persons.value,
            embedding=embedding and embedding.value,
        )
        stores = use_stores(storage_options)
        chosen = Inputs(
            inputs,
            exclude=tuple(exclude or ()),
            limit=limit,
            newer_than=parse_time(newer_than) if newer_than else None,
            settle=settle,
            stdin=sys.stdin,
        )
        if dry_run:
            plan_run(
                chosen,
                out,
                config=settings,
                device=device.value,
                workers=workers,
                retry_failed=retry_failed,
                console=console,
            )
            return
        on_flink = None
        if parse_runner(runner) == "flink" and flink_master:
            from pipelines.runs.job_display import terminal_display
            from pipelines.runs.on_flink import OnFlink
            from runners.flink.submit import FlinkOptions

            cluster = FlinkOptions(
                flink_master,
                version=flink_version,
                job_server_jar=flink_job_server_jar,
                parallelism=parallelism,
                workers_per_host=workers_per_host,
                more=tuple(context.meta.get(MORE, ())),
            )
            on_flink = OnFlink(cluster, detach, terminal_display(console))
        summary = analyze(
            chosen,
            out,
            config=settings,
            runner=runner,
            workers=workers,
            max_attempts=max_attempts,
            retry_failed=retry_failed,
            keep_observations=keep_observations,
            device=device.value,
            console=console,
            storage_options=stores,
            flink=on_flink,
        )
        from pipelines.runs.display import print_summary

        print_summary(summary, console)
    raise typer.Exit(summary.exit_status)


def demo(
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Where the clip and the tables go.")] = "out",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default=False)] = None,
) -> None:
    """Make a clip of twenty seconds from a public-domain portrait, analyze it, and say where tables and report are.

    The head moves, comes nearer, leaves and comes back, and the clip has one cut.
    """
    console = Console()
    with exit_on_error(), log_to(console, None):
        from pipelines.reports.report import report
        from pipelines.runs.analyze_archive import analyze
        from pipelines.runs.demo_clip import make_demo_clip
        from pipelines.runs.display import print_summary
        from schemas.errors import StorageError

        clip = Path(out) / "demo.mp4"
        if not clip.exists():
            try:
                clip.parent.mkdir(parents=True, exist_ok=True)
                make_demo_clip(clip)
            except OSError as error:
                raise StorageError(f"The clip cannot be written to {clip}: {error.strerror}.") from error
            console.print(f"made {clip}")
        summary = analyze([str(clip)], out, workers=workers or 1, console=console)
        print_summary(summary, console)
        pages = report(out, console=console)
        console.print(f"The report, to be opened in a browser: {pages.index}", soft_wrap=True)
        example = f"python -c \"import pandas; print(pandas.read_parquet('{out}/tracks').T)\""
        console.print(f"The tables are in {out}/. For instance:\n  {example}", soft_wrap=True)
    raise typer.Exit(summary.exit_status)
