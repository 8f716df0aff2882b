"""Processes of a cluster, found by a variable in their environment: whoever started them, and however that ended."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.flink_cluster.parts import ClusterError

PROCESS_VARIABLE = "FACELOG_FLINK_PROCESS"
"""In the environment of every process of a cluster: CLUSTER/NAME, for example 1c0ffe/pool-1."""


class Processes:
    """The processes of one cluster. Each has a name; processes that it starts itself have the same name.

    Args:
      cluster: the cluster's name.
      logs: folder with a file for the output of each name.
    """

    def __init__(self, cluster: str, logs: Path) -> None:
        self._cluster, self._logs = cluster, logs
        self._children: list[subprocess.Popen[bytes]] = []

    def log(self, name: str) -> Path:
        """The file with a process's output."""
        return self._logs / f"{name}.log"

    def start(self, name: str, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Starts a process in a session of its own.

        Raises:
          ClusterError: one of that name runs.
        """
        if self.pids(name):
            raise ClusterError(f"{name} runs already")
        # The caller's own S3 account is none of the cluster's business.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=inherited | dict(env) | {PROCESS_VARIABLE: f"{self._cluster}/{name}"},
                start_new_session=True,
            )
        self._children.append(child)

    def pids(self, name: str | None = None) -> dict[int, str]:
        """The living processes of a name, or of all names: pid → name."""
        mark, found = f"{PROCESS_VARIABLE}={self._cluster}/", {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                for variable in _environment(folder).decode("utf-8", "replace").split("\0"):
                    if variable.startswith(mark) and name in (None, variable.removeprefix(mark)):
                        found[int(folder.name)] = variable.removeprefix(mark)
        return found

    def kill(self, name: str | None = None, *, patience: float = 0.0) -> None:
        """Ends those of a name, or all, with kill -9; with patience they are asked first and have so many seconds."""
        if patience:
            for pid in self.pids(name):
                send(pid, signal.SIGTERM)
            with contextlib.suppress(ClusterError):
                wait(lambda: not self.pids(name), patience, "")
        while pids := self.pids(name):
            for pid in pids:
                send(pid, signal.SIGKILL)
            time.sleep(0.05)

    def kill_children(self, name: str) -> int:
        """Ends what the oldest process of a name has started, but not that one, with kill -9.

        Returns:
          How many processes there were.
        """
        _, *children = sorted(self.pids(name), key=_start_time)
        for pid in children:
            send(pid, signal.SIGKILL)
        return len(children)

    def reap(self) -> None:
        """Waits for what this process has started and has been ended."""
        for child in self._children:
            child.wait()
        self._children.clear()

    def await_port(self, name: str, port: int) -> None:
        """Waits until one of a name listens on a port.

        Raises:
          ClusterError: it ends, or does not listen after a minute.
        """

        def ready() -> bool:
            pids = self.pids(name)
            if not pids:
                raise ClusterError(f"{name} does not start; see {self.log(name)}")
            return any(listens(pid, port) for pid in pids)

        wait(ready, 60, f"{name} does not listen on port {port}; see {self.log(name)}")


def send(pid: int, number: int) -> None:
    """Sends a signal to a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def listens(pid: int, port: int) -> bool:
    """Whether someone listens on a TCP port on the host where a process runs."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state = line.split()[:4]
                if state == "0A" and local.endswith(f":{port:04X}"):
                    return True
    return False


def wait(ready: Callable[[], bool], seconds: float, message: str) -> None:
    """Waits for a condition.

    Raises:
      ClusterError: the message, if it does not hold after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError(message)
        time.sleep(0.1)


def _environment(process: Path) -> bytes:
    """A folder of /proc → the process's environment, as it was when its program started."""
    for _ in range(5):
        if environment := (process / "environ").read_bytes():
            return environment
        os.readlink(process / "exe")  # fails for kernel threads and zombies, which have none
        time.sleep(0.01)  # else it is most likely changing to another program just now
    return b""


def _start_time(pid: int) -> int:
    """In ticks since the machine's start; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0
