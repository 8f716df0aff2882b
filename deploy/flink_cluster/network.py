"""Three hosts on one machine: network namespaces that a bridge joins, where this machine has an address, too."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from deploy.flink_cluster.parts import ClusterError


def why_no_namespaces() -> str | None:
    """Why this process cannot make the three hosts, or None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program ip (Debian: iproute2)"
    name = f"facelog-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        return None
    return f"network namespaces cannot be made here: {made.stderr.strip()}"


class Network:
    """The bridge and the namespaces of one cluster, which carry its name.

    Args:
      name: six hexadecimal digits.
      subnet: first three numbers of its addresses, such as "10.3.7".

    Attributes:
      machine: the address of this machine on the bridge.
    """

    def __init__(self, name: str, subnet: str) -> None:
        self._name, self._subnet = name, subnet
        self.machine = f"{subnet}.1"

    def address(self, host: int) -> str:
        """The address of a host, by its number."""
        return f"{self._subnet}.{10 + host}"

    def enter(self, host: int) -> list[str]:
        """The words before a command that runs it on that host."""
        return ["ip", "netns", "exec", self._namespace(host)]

    def make(self, hosts: Iterable[int]) -> None:
        """Makes the bridge, and a namespace with a cable to it for each host.

        Raises:
          ClusterError: it cannot be made.
        """
        bridge = f"fl{self._name}"
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{self.machine}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for host in hosts:
            namespace, cable = self._namespace(host), f"fl{self._name}{host}"
            _ip("netns", "add", namespace)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", cable, "master", bridge, "up")
            _ip("-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", namespace, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """Removes all of it that is there."""
        if not shutil.which("ip"):
            return
        for namespace in Path("/run/netns").glob(f"facelog-{self._name}-*"):
            _ip("netns", "del", namespace.name)
        # The cables go with their namespaces, but not at once.
        for interface in Path("/sys/class/net").glob(f"fl{self._name}*"):
            with contextlib.suppress(ClusterError):
                _ip("link", "del", interface.name)

    def _namespace(self, host: int) -> str:
        return f"facelog-{self._name}-{host}"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
