"""The few exceptions that facelog raises on purpose; their text is written for the person at the terminal."""


class FacelogError(Exception):
    """Something went wrong that the user can understand; the text says what, with which file, and what to do."""


class UsageError(FacelogError):
    """The call itself is wrong: an input that is not there, a bad option. Exit status 2."""


class StorageError(FacelogError):
    """A file system did not let us read or write."""


class StorageFullError(StorageError):
    """No space is left where results are written; the run cannot go on. Exit status 1."""


class MediaError(FacelogError):
    """A file does not open as video or picture; becomes its row in `videos`, status `corrupt`."""


class BundleError(FacelogError):
    """A model bundle is missing, damaged or does not fit."""
