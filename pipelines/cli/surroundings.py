"""What surrounds a command: standard streams that are closed or full, a working folder that is gone, the locale."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from schemas.errors import Exit

_STREAMS_END = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def run(command: Callable[[], object]) -> NoReturn:
    """Runs a command and ends the process; what is wrong with its surroundings becomes one sentence.

    Errors about files have become ours where they arise. So an error of the system that names no file, and that says
    that nothing can be written, is about a standard stream.
    """
    _use_utf8()
    _open_closed_streams()
    status: str | int | None = Exit.DONE
    try:
        try:
            command()
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
    except FileNotFoundError:
        if _has_working_folder():
            raise
        _say("the working folder does not exist any more (deleted or moved): change to another one.")
        sys.exit(Exit.USAGE)
    except OSError as error:
        if error.errno not in _STREAMS_END or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is left in buffers
        if error.errno == errno.EPIPE:  # whoever read our output has seen enough
            sys.exit(status)
        _say(f"standard output cannot be written: {os.strerror(error.errno or 0)}.")
        sys.exit(Exit.FAILED)
    sys.exit(status)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"facelog: {text}", file=sys.stderr, flush=True)


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _use_utf8() -> None:
    """Begins the process anew with names read as UTF-8, where the locale says otherwise.

    Names of files are bytes, nearly always UTF-8, and the tables hold them as text. Under a Latin-1 locale the same
    file would have another name there.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, sys.orig_argv)


def _open_closed_streams() -> None:
    """Opens what was closed of standard input, output and error; else the next file would be printed into."""
    for descriptor, mode in ((0, "r"), (1, "w"), (2, "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
        name = ("stdin", "stdout", "stderr")[descriptor]
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
