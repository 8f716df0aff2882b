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


class HostError(FacelogError):
    """A host of a cluster is not fit for a job."""


class LeftRunningError(FacelogError):
    """The client goes and its job stays: nobody's error, but no result either. Exit status 0 if wanted, else 130.

    Attributes:
      wanted: whether the user had asked for it from the beginning.
    """

    def __init__(self, text: str, *, wanted: bool):
        """With the sentence for the user."""
        super().__init__(text)
        self.wanted = wanted
