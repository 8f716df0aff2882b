"""Work that takes too long ends its process."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("inside", "told"),
    [("time.sleep(60)", "not done after 0.3 s"), ("re.match('(a*)*b', 'a' * 40)", None)],
    ids=["waits", "holds the interpreter"],
)
def test_what_takes_too_long_ends_its_process(tmp_path: Path, inside: str, told: str | None) -> None:
    program = f"""
import re, sys, time
from transforms.job import watchdog
watchdog._GRACE_SECONDS = 1.0
with watchdog.watchdog(0.3, open(sys.argv[1], "w").write):
    {inside}
"""
    ends = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "told")],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ends.returncode == 1
    if told is None:
        assert "Timeout" in ends.stderr  # faulthandler's list of threads
    else:
        assert "re.py" not in ends.stderr


def test_the_watchdog_lets_go_of_what_is_done_in_time() -> None:
    program = """
import time
from transforms.job import watchdog
watchdog._GRACE_SECONDS = 0.2
with watchdog.watchdog(0.5, print):
    with watchdog.watchdog(60, print):
        pass
with watchdog.watchdog(0.5, print):
    pass
time.sleep(1.5)
print("still here")
"""
    ends = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60
    )
    assert ends.stdout == "still here\n" and ends.returncode == 0
