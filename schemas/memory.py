"""Resident memory of this process, as Linux tells it."""

from typing import Literal


def memory_mb(field: Literal["VmHWM", "VmRSS"]) -> float:
    """Peak (VmHWM) or present (VmRSS) resident memory in MB (10⁶ bytes); 0 where the system has no /proc.

    `ru_maxrss` would not do: it begins with the peak of the process that started this one.
    """
    try:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        return 0.0
    return int(fields[field].split()[0]) * 1024 / 1e6
