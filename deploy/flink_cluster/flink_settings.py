"""Flink's configuration on a host of the test cluster."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

REST_PORT = 8081

_NETWORK_MB = 64
"""Of each slot: with half of it a job ends with "Insufficient number of network buffers"."""

# Flink 1.19 on Java 17 needs these; they are in the configuration that comes with it, which ours replaces.
_EXPORTS = "java.base/sun.net.util java.rmi/sun.rmi.registry java.security.jgss/sun.security.krb5"
_OPENS = "lang net io nio lang.reflect text time util util.concurrent util.concurrent.atomic util.concurrent.locks"
_JAVA_OPTIONS = [
    *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS.split()),
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENS.split()),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
]


def settings_of(
    *, master: str, bind: str, address: str, slots: int, restarts: int, tmp: Path, java_options: Sequence[str]
) -> dict[str, object]:
    """The settings of a job manager or task manager.

    Args:
      master: address of the job manager's host.
      bind: address that the job manager listens on.
      address: of this process's host.
      slots: of each task manager.
      restarts: how often a job may start again after a failure.
      tmp: folder for Flink's temporary files.
      java_options: more options of Java.
    """
    return {
        "jobmanager.rpc.address": master,
        "jobmanager.bind-host": bind,
        "jobmanager.memory.process.size": "900m",
        "rest.address": master,
        "rest.bind-address": master,
        "rest.port": REST_PORT,
        "taskmanager.host": address,
        "taskmanager.bind-host": address,
        "taskmanager.numberOfTaskSlots": slots,
        "taskmanager.memory.process.size": "1300m",
        "taskmanager.memory.managed.size": "64m",
        "taskmanager.memory.task.off-heap.size": "256m",
        "taskmanager.memory.network.min": f"{_NETWORK_MB * slots}m",
        "io.tmp.dirs": tmp,
        "env.java.opts.all": " ".join([*_JAVA_OPTIONS, *java_options, f"-Djava.io.tmpdir={tmp}"]),
        # Milliseconds. A killed task manager refuses calls and is noticed in seconds; a silent one may be slow.
        "heartbeat.interval": 5000,
        "heartbeat.timeout": 30000,
        # Without a restart strategy a batch job ends with its first failure.
        "restart-strategy.type": "fixed-delay" if restarts else "none",
        "restart-strategy.fixed-delay.attempts": restarts,
        "restart-strategy.fixed-delay.delay": "1 s",
        # Otherwise running out of memory in a thread of gRPC is only logged, and the job stands still for ever;
        # in a task's own thread it fails that task again and again.
        "env.java.opts.taskmanager": "-XX:+ExitOnOutOfMemoryError",
        "taskmanager.jvm-exit-on-oom": "true",
    }


def write_settings(folder: Path, settings: Mapping[str, object], flink_home: Path) -> None:
    """Makes a configuration folder for Flink."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(flink_home / "conf" / "log4j-console.properties", folder)
    lines = (f"{key}: {json.dumps(str(value))}\n" for key, value in settings.items())
    (folder / "config.yaml").write_text("".join(lines), "utf-8")
