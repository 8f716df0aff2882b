"""CPU seconds, memory and share of a core of a test cluster's processes, by role, read from /proc."""

import collections
import contextlib
import dataclasses
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.flink_cluster.cluster import Cluster
from deploy.flink_cluster.processes import PROCESS_VARIABLE

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Use:
    """What the processes of one role used.

    Attributes:
      cpu: CPU seconds, including those of children that have ended.
      peak_mb: largest resident memory of one process.
      running, waiting: seconds that the threads had a core, and that they waited for one.
    """

    cpu: float = 0.0
    peak_mb: float = 0.0
    running: float = 0.0
    waiting: float = 0.0


class Watch(threading.Thread):
    """Measures every second what the processes of a cluster have used."""

    def __init__(self, cluster: Cluster):
        """Starts at once."""
        super().__init__(daemon=True)
        self._mark = f"{PROCESS_VARIABLE}={cluster.suffix}/".encode()
        self._roles: dict[int, str] = {}
        self._cpu: dict[str, float] = {}
        self._peak: dict[int, float] = {}
        self._threads: dict[tuple[int, str], tuple[float, float]] = {}
        self._over = threading.Event()
        self._look()
        self._before, self._threads_before = dict(self._cpu), dict(self._threads)
        self.start()

    def run(self) -> None:
        while not self._over.wait(1.0):
            self._look()

    def end(self) -> dict[str, Use]:
        """Stops; returns the use since the start by role."""
        self._over.set()
        self.join()
        self._look()
        uses = {role: Use(cpu - self._before.get(role, 0.0)) for role, cpu in self._cpu.items()}
        for pid, peak in self._peak.items():
            use = uses[self._roles[pid]]
            use.peak_mb = max(use.peak_mb, peak)
        for key, (running, waiting) in self._threads.items():
            use, before = uses[self._roles[key[0]]], self._threads_before.get(key, (0.0, 0.0))
            use.running += running - before[0]
            use.waiting += waiting - before[1]
        return dict(sorted(uses.items()))

    def _look(self) -> None:
        now: dict[str, float] = collections.defaultdict(float)
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                pid = int(folder.name)
                role = self._role(pid, folder)
                if role is None:
                    continue
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                now[role] += sum(int(ticks) for ticks in fields[11:15]) / _TICKS
                if found := re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text()):
                    self._peak[pid] = int(found[1]) / 1e3
                for thread in (folder / "task").iterdir():
                    running, waiting, _ = (thread / "schedstat").read_text().split()
                    self._threads[pid, thread.name] = int(running) / 1e9, int(waiting) / 1e9
        for role, cpu in now.items():
            self._cpu[role] = max(cpu, self._cpu.get(role, 0.0))

    def _role(self, pid: int, folder: Path) -> str | None:
        if pid not in self._roles:
            found = re.search(rb"(?:^|\0)" + re.escape(self._mark) + rb"([^\0]+)", (folder / "environ").read_bytes())
            if found is None:
                return None
            self._roles[pid] = found[1].decode()
        return self._roles[pid]


@contextlib.contextmanager
def watched(cluster: Cluster, what: str) -> Iterator[None]:
    """Prints what the cluster used while it was open."""
    watch, start = Watch(cluster), time.monotonic()
    yield
    wall = time.monotonic() - start
    time.sleep(5)  # the pools notice within a second that their workers have ended
    print(f"{what}: {wall:.0f} s")
    for role, use in watch.end().items():
        had = use.running / (use.running + use.waiting) if use.running + use.waiting else 1.0
        print(f"  {role}: {use.cpu:.1f} CPU s, peak {use.peak_mb:.0f} MB, had a core {had:.0%} of the time", flush=True)
