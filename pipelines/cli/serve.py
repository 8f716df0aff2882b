"""`facelog serve`: look into the results in a browser."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.terminal import exit_on_error
from schemas.errors import UsageError


def serve(
    out: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output folder of facelog analyze, or a compact copy of one.", show_default=False
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; any other than this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: a free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            help="Secret that a browser has to bring. \\[default: none for 127.0.0.1, a new one for all others]",
            show_default=False,
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate, to speak HTTPS.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For previews and sums, which may be removed at any time. \\[default: ~/.cache/facelog]",
            show_default=False,
        ),
    ] = None,
    cache_gb: Annotated[
        float, typer.Option("--cache-gb", min=0.0, metavar="GB", help="What previews in it take at most.")
    ] = 10.0,
    storage_options: StorageOptions = None,
) -> None:
    """Look into the results in a browser: all videos, each video with its faces, and moments to find.

    The app runs on this machine, needs no network, and ends with Ctrl-C.

        facelog serve results
        facelog serve s3://results/run1 --port 9000
        facelog serve results --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
    """
    console = Console(soft_wrap=True, highlight=False)
    with exit_on_error():
        try:
            from pipelines.serve.server import serve as run
        except ModuleNotFoundError as error:
            if error.name not in ("starlette", "uvicorn"):
                raise
            raise UsageError(
                f"The web app needs {error.name}, which is missing: pip install 'facelog[web]'."
            ) from error

        use_stores(storage_options)
        run(
            out,
            host=host,
            port=port,
            token=token,
            certificate=certificate,
            key=key,
            cache=cache,
            cache_gb=cache_gb,
            ready=lambda address: console.print(f"open {address}", markup=False),
        )
