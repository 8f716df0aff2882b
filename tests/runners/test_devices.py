"""Whether a GPU can be used, and how many workers it has room for."""

from types import SimpleNamespace
from typing import Any

import pytest

from runners import devices


def test_tensorflow_is_asked_only_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    statuses = [1, 0]

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(returncode=statuses.pop())

    monkeypatch.setattr(devices.subprocess, "run", run)
    monkeypatch.setattr(devices, "free_gpu_mb", lambda: None)
    assert not devices.tensorflow_sees_a_gpu() and not asked
    monkeypatch.setattr(devices, "free_gpu_mb", lambda: 20_000)
    assert [devices.tensorflow_sees_a_gpu() for _ in range(2)] == [True, False]
    assert len(asked) == 2 and "list_physical_devices" in asked[0][-1]
