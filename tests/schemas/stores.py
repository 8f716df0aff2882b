"""What tests of object stores share: each function of `schemas.storage`."""

from collections.abc import Callable

import pytest

from schemas import storage

FUNCTIONS: dict[str, Callable[[str], object]] = {
    "stat": storage.stat,
    "exists": storage.exists,
    "is_folder": storage.is_folder,
    "read": storage.read_bytes,
    "write": lambda uri: storage.write_bytes(uri, b"x"),
    "list": lambda uri: list(storage.list_files(uri)),
    "move": lambda uri: storage.move_file(uri, f"{uri}.new"),
    "delete": storage.delete_file,
    "delete tree": storage.delete_tree,
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))


def names(folder: str) -> list[str]:
    return sorted(file.uri.removeprefix(f"{folder}/") for file in storage.list_files(folder))
