"""The command line, `facelog`. Commands import what they call when they run, so that `--help` is quick."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from pipelines.cli.analyze import analyze, demo
from pipelines.cli.annotate import annotate
from pipelines.cli.compact import compact
from pipelines.cli.data import data_app
from pipelines.cli.detectors import detectors_app
from pipelines.cli.evaluate import evaluate
from pipelines.cli.export import export
from pipelines.cli.forget import forget
from pipelines.cli.image import image
from pipelines.cli.live import live
from pipelines.cli.models import models_app
from pipelines.cli.persons import persons_app
from pipelines.cli.prepare import prepare
from pipelines.cli.prune import prune
from pipelines.cli.query import query
from pipelines.cli.report import report
from pipelines.cli.serve import serve
from pipelines.cli.status import status
from pipelines.cli.surroundings import run
from pipelines.cli.terminal import WithMore, exit_on_error
from pipelines.cli.train import train
from pipelines.cli.upgrade import upgrade
from pipelines.cli.worker import worker
from schemas.errors import Exit

app = typer.Typer(
    name="facelog",
    help="An archive of video files in, Parquet tables about the faces in them out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def doctor() -> None:
    """Say what this installation has, what is missing, and how to get it."""
    console = Console()
    with exit_on_error():
        from pipelines.cli.doctor import examine

        healthy = examine(console)
    raise typer.Exit(Exit.DONE if healthy else Exit.FAILED)


_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Faces in videos and pictures": (analyze, status, image, live, demo),
    "Results": (report, serve, query, annotate, export),
    "Keeping results": (compact, prune, forget, upgrade),
    "Models": (train, evaluate, prepare),
    "This installation": (doctor, worker),
}
for _panel, _functions in _COMMANDS.items():
    for _function in _functions:
        app.command(rich_help_panel=_panel, cls=WithMore if _function is analyze else None)(_function)
app.add_typer(persons_app, name="persons", rich_help_panel="Results")
app.add_typer(detectors_app, name="detectors", rich_help_panel="Models")
app.add_typer(models_app, name="models", rich_help_panel="Models")
app.add_typer(data_app, name="data", rich_help_panel="Models")


def _version(wanted: bool) -> None:
    if wanted:
        from schemas.tables import code_version

        typer.echo(f"facelog {code_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(*args: Any) -> None:
    """Entry point of the `facelog` program."""
    run(lambda: app(*args))
