"""`facelog worker`: the pool on each host of a Flink cluster that starts Python workers for the task manager."""

import logging
import platform
import sys
from importlib import metadata
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.terminal import exit_on_error


def worker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 50000,
    bind: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen at. Whoever reaches it can run code here, so keep it to this host or to a "
            "private network.",
        ),
    ] = "localhost",
    check: Annotated[
        bool, typer.Option("--check", help="Only check whether a pool answers there: exit status 0 or 1.")
    ] = False,
) -> None:
    """Start Python workers for the Flink task manager of this host: one pool beside each task manager.

    It prints one line when it is ready, then writes a log to standard error. SIGTERM or Ctrl-C ends it and its workers.
    A worker ends by itself when its task manager or its pool is gone. All hosts need the same version of facelog.

        facelog worker
        facelog worker --check
    """
    console = Console(soft_wrap=True)
    with exit_on_error():
        from runners.flink.worker_pool import answers, serve
        from schemas.errors import FacelogError

        if check:
            if not answers(bind, port):
                raise FacelogError(f"No worker pool answers at {bind}:{port}; start one there with facelog worker.")
            console.print(f"A worker pool answers at {bind}:{port}.", markup=False, highlight=False)
            return
        # In place of what an import may have set up: Beam's, in a process that has it imported, keeps only warnings.
        shown = "%(asctime)s %(levelname)s %(message)s"
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=shown, force=True)
        ended = serve(
            bind,
            port,
            imports=["pipelines.analyze"],  # the steps of a job
            on_ready=lambda address: console.print(_ready(address), markup=False, highlight=False),
        )
        console.print(f"facelog worker pool stopped; {ended} workers ended with it.", markup=False, highlight=False)


def _ready(address: str) -> str:
    """The line that says where the pool listens and what its workers run."""
    from models.bundle import bundle_names
    from schemas.tables import code_version

    return (
        f"facelog {code_version()} worker pool ready at {address}: models {', '.join(bundle_names())}; "
        f"Beam {metadata.version('apache-beam')}, Python {platform.python_version()}"
    )
