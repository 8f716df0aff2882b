"""Errors of the system and of pyarrow about a file, as errors with one sentence for the user."""

import contextlib
import errno
import re
from collections.abc import Iterator

import pyarrow as pa

from schemas.errors import StorageError, StorageFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_SPACE = re.compile(r"HTTP status 507|StorageFull|QuotaExceeded")

# Pattern in Arrow's message → what is wrong and what the user can do; the first that fits counts.
_CLOUD_ERRORS = {
    r"EXPIRED_TOKEN|ExpiredToken|TOKEN_REFRESH_REQUIRED": "the keys have expired; get new ones",
    r"TooSkewed|TOO_SKEWED|REQUEST_EXPIRED": "the store refuses this machine's time of day; set its clock",
    r"AuthorizationHeaderMalformed|PermanentRedirect|HTTP status 301": (
        "the store is in another region; set it (for S3: AWS_REGION)"
    ),
    r"ACCESS_DENIED|Access ?Denied|FORBIDDEN|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|InvalidToken|"
    r"INVALID_CLIENT_TOKEN|UserNotFound|HTTP status 40[13]|Unauthorized|PERMISSION_DENIED|UNAUTHENTICATED|"
    r"AuthenticationFailed|AuthorizationFailure": (
        "access is denied; check the keys and what they allow (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    ),
    r"curlCode: (60|77|58)|certificate": "the store's certificate is not trusted; name its issuer (tls_ca_file_path)",
    r"NETWORK_CONNECTION|curlCode|CURL error|[Cc]ould not connect|resolve host": (
        "the store cannot be reached; check network and address (for S3: AWS_ENDPOINT_URL)"
    ),
    r"NO_SUCH_BUCKET|Bucket '.*' not found|ContainerNotFound": "there is no such bucket",
    r"SLOW_DOWN|THROTTLING|HTTP status (429|503)": "the store is overloaded; run the same command again later",
}

# Errors that may be gone at the next try: the network, a server that restarts, too many requests. A server that keeps
# objects as files in folders may refuse to delete a folder at first, because its files are being deleted.
_PASSING = re.compile(
    r"NETWORK_CONNECTION|curlCode|SLOW_DOWN|THROTTLING|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIMEOUT|"
    r"HTTP status (429|500|502|503|504)|[Cc]onnection (reset|refused)|UNAVAILABLE|[Tt]ransient|"
    r"object not empty|Could not connect"
)
_NEVER_PASSING = re.compile(r"curlCode: (60|77|58)\b")


@contextlib.contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Turns errors of the system and of pyarrow about a file into errors of this package."""
    try:
        yield
    except FileNotFoundError as error:
        if error.errno is None:  # it is ours already
            raise
        raise FileNotFoundError(f"{uri} does not exist") from error
    except (OSError, pa.ArrowException) as error:
        raise storage_error(uri, error) from error


def storage_error(uri: str, error: Exception) -> StorageError:
    """The error that the user sees."""
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    if getattr(error, "errno", None) in _FULL or _NO_SPACE.search(text):
        folder = uri.rpartition("/")[0] or "/"
        return StorageFullError(f"no space left in {folder}: make room there and run the same command again")
    for code, sentence in _CLOUD_ERRORS.items():
        if re.search(code, str(error)):
            return StorageError(f"{uri}: {sentence}")
    return StorageError(f"{uri}: {re.sub(r' *[(]Request ID.*', '', text)}")


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed in a while."""
    text = str(error)
    return bool(_PASSING.search(text)) and not _NEVER_PASSING.search(text)


def is_unreachable(error: Exception) -> bool:
    """Whether the store did not answer at all."""
    return bool(re.search(r"NETWORK_CONNECTION|curlCode|CURL error|Could not connect", str(error)))
