"""How to reach object stores: options and environment variables. Secrets come from the environment alone."""

import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from schemas.errors import UsageError


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


_KINDS: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "s3": {
        "endpoint_override": str,
        "scheme": str,
        "region": str,
        "anonymous": _flag,
        "role_arn": str,
        "session_name": str,
        "external_id": str,
        "load_frequency": int,
        "connect_timeout": float,
        "request_timeout": float,
        "proxy_options": str,
        "force_virtual_addressing": _flag,
        "tls_ca_file_path": str,
    },
    "gs": {
        "endpoint_override": str,
        "scheme": str,
        "anonymous": _flag,
        "target_service_account": str,
        "project_id": str,
        "retry_time_limit": _seconds,
    },
    "abfs": {
        "account_name": str,
        "blob_storage_authority": str,
        "blob_storage_scheme": str,
        "dfs_storage_authority": str,
        "dfs_storage_scheme": str,
        "client_id": str,
        "tenant_id": str,
    },
}
_SECRETS = {
    "access_key": "AWS_ACCESS_KEY_ID",
    "secret_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "access_token": "GOOGLE_APPLICATION_CREDENTIALS",
    "account_key": "AZURE_STORAGE_KEY",
    "sas_token": "AZURE_STORAGE_SAS_TOKEN",
    "client_secret": "AZURE_CLIENT_SECRET",
}


_A_WHILE = timedelta(seconds=5)
"""How long Google's library retries by itself. By default, it would try a wrong address for a quarter of an hour."""


def check_options(options: Mapping[str, str]) -> None:
    """Checks options.

    Raises:
      UsageError: one is unknown, has a bad value, or is a secret.
    """
    known = {key: kind for kinds in _KINDS.values() for key, kind in kinds.items()}
    for key, value in options.items():
        if key in _SECRETS:
            raise UsageError(
                f"storage option {key}: leave secrets out of the command line (others could read them there); "
                f"set {_SECRETS[key]} in the environment"
            )
        if key not in known:
            raise UsageError(f"there is no storage option {key}; there are {', '.join(sorted(known))}")
        if re.search(r"://[^/]*@", value):
            raise UsageError(f"storage option {key}: leave user names and passwords out of addresses")
        try:
            known[key](value)
        except ValueError:
            raise UsageError(f"storage option {key} cannot be {value!r}") from None


def s3_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `pyarrow.fs.S3FileSystem`. The library finds keys by itself (environment, profile, machine)."""
    arguments = _of("s3", options)
    environment = os.environ.get
    address = environment("AWS_ENDPOINT_URL_S3") or environment("AWS_ENDPOINT_URL")
    _set_address(arguments, address)
    region = environment("AWS_REGION") or environment("AWS_DEFAULT_REGION")
    # With an address, the region is only part of the signature; without a value the library would ask Amazon for it.
    arguments.setdefault("region", region or ("us-east-1" if "endpoint_override" in arguments else None))
    return arguments


def gs_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `pyarrow.fs.GcsFileSystem`."""
    arguments: dict[str, Any] = {"retry_time_limit": _A_WHILE} | _of("gs", options)
    _set_address(arguments, os.environ.get("STORAGE_EMULATOR_HOST"))
    return arguments


def abfs_arguments(options: Mapping[str, str], account: str | None) -> dict[str, Any]:
    """Arguments of `pyarrow.fs.AzureFileSystem`. Without a key, the library looks for credentials by itself.

    Args:
      options: see `schemas.storage.configure`.
      account: the account in the address.

    Raises:
      UsageError: neither address, options nor environment name the account.
    """
    environment = os.environ.get
    arguments = _of("abfs", options)
    name = account or arguments.get("account_name") or environment("AZURE_STORAGE_ACCOUNT")
    if not name:
        raise UsageError(
            "abfs://: the storage account is missing; write abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/…, "
            "or set AZURE_STORAGE_ACCOUNT"
        )
    secrets = {
        "account_key": environment("AZURE_STORAGE_KEY"),
        "sas_token": environment("AZURE_STORAGE_SAS_TOKEN"),
        "client_secret": environment("AZURE_CLIENT_SECRET") if "client_id" in arguments else None,
    }
    return arguments | {key: value for key, value in secrets.items() if value} | {"account_name": name}


def _of(store: str, options: Mapping[str, str]) -> dict[str, Any]:
    kinds = _KINDS[store]
    return {key: kinds[key](value) for key, value in options.items() if key in kinds}


def _set_address(arguments: dict[str, Any], address: str | None) -> None:
    """Sets address and scheme; an address among the options wins over that of the environment."""
    scheme, mark, rest = (arguments.get("endpoint_override") or address or "").rpartition("://")
    if rest:
        arguments["endpoint_override"] = rest.rstrip("/")
    if mark:
        arguments["scheme"] = scheme
