"""Beam's job server ends with the client that started it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runs import ROOT

_STARTS_A_SERVER = """
import subprocess, time
from apache_beam.utils.subprocess_server import SubprocessServer
from runners.flink.submit import _job_server_ends_with_us
with _job_server_ends_with_us():
    process, _ = SubprocessServer(None, ["sleep", "1000"]).start_process()
print(process.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.multiprocess
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a process that its parent has ended")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_client_that_is_killed_leaves_no_job_server(how: signal.Signals) -> None:
    client = subprocess.Popen([sys.executable, "-c", _STARTS_A_SERVER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    server = Path("/proc") / client.stdout.readline().strip()
    assert server.is_dir()
    client.send_signal(how)
    client.wait()
    until = time.monotonic() + 10
    while server.is_dir() and "Z" not in (server / "stat").read_text().split()[2] and time.monotonic() < until:
        time.sleep(0.05)
    assert not server.is_dir() or "Z" in (server / "stat").read_text().split()[2]
