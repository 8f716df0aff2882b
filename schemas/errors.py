"""The exceptions that facelog raises on purpose, with texts for the person at the terminal, and exit statuses."""

import enum


class Exit(enum.IntEnum):
    """Exit statuses of all commands."""

    DONE = 0
    FAILED = 1
    """The command itself failed."""
    USAGE = 2
    """The call is wrong; click uses the same number."""
    SOME_FAILED = 3
    """The command finished, and some of what it was given could not be done."""
    STOPPED = 130
    """Ctrl-C; shells use the same number."""


class FacelogError(Exception):
    """An error that the user can understand; its text says what is wrong, with which file, and what to do.

    Exit status 1, unless a subclass says another.
    """


class UsageError(FacelogError):
    """The call itself is wrong: an input that is not there, a bad option. Exit status 2."""


class StorageError(FacelogError):
    """A file cannot be read or written."""


class StorageFullError(StorageError):
    """No space is left where results are written, so the run cannot go on."""


class MediaError(FacelogError):
    """A file does not open as video or picture. Its row in `videos` gets the status `corrupt`."""


class BundleError(FacelogError):
    """A model bundle is missing or damaged, or does not fit."""


class HostError(FacelogError):
    """A host of a cluster is not fit for a job."""


class LeftRunningError(FacelogError):
    """The client ends and its job goes on, so there is no error and no result yet. Exit status 0 if wanted, else 130.

    Attributes:
      wanted: whether the user asked for it when the command began.
    """

    def __init__(self, text: str, *, wanted: bool):
        """With the sentence for the user."""
        super().__init__(text)
        self.wanted = wanted
