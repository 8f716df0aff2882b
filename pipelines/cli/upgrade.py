"""`facelog upgrade`: results of an older facelog for this one."""

import typer

from pipelines.cli.options import StorageOptions, use_stores
from pipelines.cli.removing import Dir, lines_console
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted
from schemas.errors import Exit


def upgrade(out: Dir, storage_options: StorageOptions = None) -> None:
    """Bring DIR to this facelog's schema version, without analyzing anything again.

    Files are rewritten one by one, rows of videos last; killed, the same command goes on where it was. A damaged file
    is named and left as it is (exit status 3).

        facelog upgrade results
    """
    console = lines_console()
    with exit_on_error():
        from pipelines.keeping.upgrade import upgrade as rewrite

        use_stores(storage_options)
        done = rewrite(out, console=console)
        if done.from_versions:
            old = (f"{counted(n, 'file')} of version {version}" for version, n in done.from_versions.items())
            console.print(f"{done.out} now has schema version {done.version}: rewrote {', '.join(old)}.")
        elif not done.damaged:
            console.print(f"{done.out} has schema version {done.version}, which is current.")
        for reason in done.damaged:
            console.print(f"left as it was: {reason}")
        if done.damaged:
            raise typer.Exit(Exit.SOME_FAILED)
