"""A Flink cluster with an S3 server on this machine.

With root it has three hosts, each in a network namespace of its own: one with the job manager and two with a task
manager and a Beam worker pool each. A bridge joins them, and this machine has an address on it, so that a client and
the S3 server run here and every host reaches them. Without root it is one host on 127.0.0.1.

    python deploy/flink_cluster/cluster.py up
    python deploy/flink_cluster/cluster.py status
    python deploy/flink_cluster/cluster.py down

Nothing but a folder names a cluster: its namespaces, bridge and subnet follow from that folder's path, and its
processes carry that name in their environment. So `down` finds all of it, whoever started it and however that ended.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]

# In the environment of every process of a cluster: SUFFIX/NAME, for example 1c0ffe/pool-1.
PROCESS_VARIABLE = "FACELOG_FLINK_PROCESS"
REST_PORT = 8081
POOL_PORT = 50000
S3_PORT = 7070
POOL = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.worker_pool_main --service_port={POOL_PORT}"

_NETWORK_MB = 64
"""Of each slot: with half of it a job ends with "Insufficient number of network buffers"."""

# Flink 1.19 on Java 17 needs these; they are in the configuration that comes with it, which ours takes the place of.
_EXPORTS = "java.base/sun.net.util java.rmi/sun.rmi.registry java.security.jgss/sun.security.krb5"
_OPENS = "lang net io nio lang.reflect text time util util.concurrent util.concurrent.atomic util.concurrent.locks"
_JAVA_OPTIONS = [
    *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS.split()),
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENS.split()),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
]


class ClusterError(Exception):
    """What is wrong and what to do, in one sentence."""


def default_home() -> Path:
    """Where get.sh puts Flink, the job server and the S3 server."""
    return Path(os.environ.get("FACELOG_FLINK_HOME") or _CHECKOUT / ".cache" / "flink").resolve()


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


class Cluster:
    """One cluster; `with Cluster(folder) as cluster:` starts it and ends it.

    Hosts with a task manager are numbered from 1.

    Args:
      state: its folder: logs, configuration, buckets. Emptied by `up`.
      hosts: 3, or 1 without root.
      slots: of each task manager; by default 1 where there are two of them, else 2.
      s3: whether to start the S3 server.
      pool: the command of a worker pool, which listens on port 50000 of its host's localhost.
      restarts: how often a job may start again after a failure; 0 makes a cluster whose jobs end with the first one.
      settings: of Flink, by key, in place of the cluster's own.

    Attributes:
      master: address and port of Flink's REST API, for --flink_master.
      s3_endpoint: URL of the S3 server.
      env: environment variables with which S3 clients find the server.
      flink_home: Flink's distribution.
      job_server_jar: Beam's job server, for --flink_job_server_jar.
    """

    def __init__(
        self,
        state: str | Path | None = None,
        *,
        hosts: int = 3,
        slots: int | None = None,
        s3: bool = True,
        pool: str = POOL,
        restarts: int = 20,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        if hosts not in (1, 3):
            raise ClusterError(f"a cluster has 3 hosts or 1, not {hosts}")
        home = default_home()
        self.state = Path(state or home / "cluster").resolve()
        self.hosts = hosts
        self.task_managers = (1, 2) if hosts == 3 else (1,)
        self.slots = slots or (1 if hosts == 3 else 2)
        self.s3 = s3
        self.pool = pool
        self.restarts = restarts
        self.settings = dict(settings or {})
        self.flink_home = home / "flink"
        self.job_server_jar = home / "job-server.jar"
        self._versitygw = home / "versitygw"
        digest = hashlib.sha256(str(self.state).encode()).digest()
        self.suffix = digest.hex()[:6]
        self._subnet = f"10.{digest[0]}.{digest[1]}"
        self._children: list[subprocess.Popen[bytes]] = []

        self.master = f"{self._address(0)}:{REST_PORT}"
        self.s3_endpoint = f"http://{f'{self._subnet}.1' if hosts == 3 else '127.0.0.1'}:{S3_PORT}"
        self.env = {
            "AWS_ACCESS_KEY_ID": "facelog",
            "AWS_SECRET_ACCESS_KEY": "facelog-secret",
            "AWS_ENDPOINT_URL": self.s3_endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> "Cluster":
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Starts everything and returns when the cluster can take a job.

        Raises:
          ClusterError: a part cannot be had, the cluster runs already, or something does not start.
        """
        if self._pids():
            raise ClusterError(f"the cluster of {self.state} runs already; end it with: cluster.py down")
        if self.hosts == 3 and (why := why_no_namespaces()):
            raise ClusterError(f"three hosts need network namespaces: {why}; one host does without (--hosts 1)")
        for port in (REST_PORT, POOL_PORT, S3_PORT) if self.hosts == 1 else ():
            if _listens(os.getpid(), port):
                raise ClusterError(
                    f"a cluster of one host needs port {port}, which is taken; end the program that has it"
                )
        get_parts(s3=self.s3)
        self.down()
        for folder in ("tmp", "logs", "conf", "buckets", "metadata"):
            shutil.rmtree(self.state / folder, ignore_errors=True)
            (self.state / folder).mkdir(parents=True)
        try:
            if self.hosts == 3:
                self._make_network()
            if self.s3:
                self.start_s3(wait=False)
            self._start("job-manager", 0, [*self._flink("job-manager", 0), "bin/jobmanager.sh", "start-foreground"])
            for host in self.task_managers:
                self.start_pool(host, wait=False)
                self.start_task_manager(host, wait=False)
            if self.s3:
                self._await_port("s3", S3_PORT)
            for host in self.task_managers:
                self._await_port(f"pool-{host}", POOL_PORT)
            self._await_slots()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Ends every process of the cluster and removes its network; does nothing where there is none."""
        self._kill()
        for child in self._children:
            child.wait()
        self._children.clear()
        if shutil.which("ip"):
            self._remove_network()
        shutil.rmtree(self.state / "tmp", ignore_errors=True)

    def status(self) -> dict[str, int]:
        """Processes by name, with their number."""
        count: dict[str, int] = {}
        for name in self._pids().values():
            count[name] = count.get(name, 0) + 1
        return dict(sorted(count.items()))

    def rest(self, path: str) -> Any:
        """The answer of Flink's REST API to a GET of a path such as "/overview".

        Raises:
          OSError: no answer, or not 200.
        """
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://{self.master}{path}", timeout=10) as answer:
            return json.load(answer)

    def kill_task_manager(self, host: int) -> None:
        """Ends it with kill -9."""
        self._kill(f"task-manager-{host}")

    def start_task_manager(self, host: int, *, wait: bool = True) -> None:
        """Starts it, and waits until the job manager has its slots."""
        name = f"task-manager-{host}"
        self._start(name, host, [*self._flink(name, host), "bin/taskmanager.sh", "start-foreground"])
        if wait:
            self._await_slots()

    def kill_python_worker(self, host: int) -> int:
        """Ends what the host's pool has started, but not the pool itself, with kill -9.

        Returns:
          How many processes there were.
        """
        _, *workers = sorted(self._pids(f"pool-{host}"), key=_start_time)  # the pool is the oldest of them
        for pid in workers:
            _kill(pid, signal.SIGKILL)
        return len(workers)

    def start_pool(self, host: int, *, wait: bool = True) -> None:
        """Starts the host's worker pool, with the interpreter's folder first on PATH."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
        variables = self.env | {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
        self._start(f"pool-{host}", host, shlex.split(self.pool), cwd=_CHECKOUT, env=variables)
        if wait:
            self._await_port(f"pool-{host}", POOL_PORT)

    def stop_pool(self, host: int) -> None:
        """Ends the host's worker pool and its workers: asks first, kills after five seconds."""
        self._kill(f"pool-{host}", patience=5.0)

    def start_s3(self, *, wait: bool = True) -> None:
        """Starts the S3 server; its buckets are those from before."""
        address = self.s3_endpoint.removeprefix("http://")
        keys = {"ROOT_ACCESS_KEY": self.env["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": self.env["AWS_SECRET_ACCESS_KEY"]}
        metadata, buckets = str(self.state / "metadata"), str(self.state / "buckets")
        command = [str(self._versitygw), "--port", address, "posix", "--sidecar", metadata, buckets]
        self._start("s3", None, command, env=keys)
        if wait:
            self._await_port("s3", S3_PORT)

    def stop_s3(self) -> None:
        """Ends it with kill -9; the buckets stay."""
        self._kill("s3")

    def make_bucket(self, name: str) -> str:
        """Makes an empty bucket.

        Returns:
          Its URI, s3://NAME.
        """
        (self.state / "buckets" / name).mkdir()
        return f"s3://{name}"

    def log(self, name: str) -> Path:
        """The file with a process's output."""
        return self.state / "logs" / f"{name}.log"

    def _address(self, host: int) -> str:
        """Host 0 has the job manager."""
        return f"{self._subnet}.{10 + host}" if self.hosts == 3 else "127.0.0.1"

    def _namespace(self, host: int) -> str:
        return f"facelog-{self.suffix}-{host}"

    def _make_network(self) -> None:
        bridge = f"fl{self.suffix}"
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{self._subnet}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for host in (0, *self.task_managers):
            namespace, cable = self._namespace(host), f"fl{self.suffix}{host}"
            _ip("netns", "add", namespace)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", cable, "master", bridge, "up")
            _ip("-n", namespace, "address", "add", f"{self._address(host)}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", namespace, "link", "set", "eth0", "up")

    def _remove_network(self) -> None:
        for namespace in Path("/run/netns").glob(f"facelog-{self.suffix}-*"):
            _ip("netns", "del", namespace.name)
        # The cables go with their namespaces, but not at once.
        for interface in Path("/sys/class/net").glob(f"fl{self.suffix}*"):
            with contextlib.suppress(ClusterError):
                _ip("link", "del", interface.name)

    def _flink(self, name: str, host: int) -> list[str]:
        """Writes a Flink process's configuration; the start of its command."""
        conf = self.state / "conf" / name
        conf.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.flink_home / "conf" / "log4j-console.properties", conf)
        master, address, tmp = self._address(0), self._address(host), self.state / "tmp"
        settings = {
            "jobmanager.rpc.address": master,
            # Its REST server hands a job's files to its blob server by way of localhost.
            "jobmanager.bind-host": "0.0.0.0" if self.hosts == 3 else master,
            "jobmanager.memory.process.size": "900m",
            "rest.address": master,
            "rest.bind-address": master,
            "rest.port": REST_PORT,
            "taskmanager.host": address,
            "taskmanager.bind-host": address,
            "taskmanager.numberOfTaskSlots": self.slots,
            "taskmanager.memory.process.size": "1300m",
            "taskmanager.memory.managed.size": "64m",
            "taskmanager.memory.task.off-heap.size": "256m",
            "taskmanager.memory.network.min": f"{_NETWORK_MB * self.slots}m",
            "io.tmp.dirs": tmp,
            "env.java.opts.all": f"{' '.join(_JAVA_OPTIONS)} -Djava.io.tmpdir={tmp}",
            # Milliseconds. A killed task manager refuses calls and is noticed in seconds; a silent one may be slow.
            "heartbeat.interval": 5000,
            "heartbeat.timeout": 30000,
            # Without a restart strategy a batch job ends with its first failure.
            "restart-strategy.type": "fixed-delay" if self.restarts else "none",
            "restart-strategy.fixed-delay.attempts": self.restarts,
            "restart-strategy.fixed-delay.delay": "1 s",
            # What runs out of memory in a thread of gRPC is only logged otherwise, and its job stands still for ever;
            # in a task's own thread it fails that task each time again.
            "env.java.opts.taskmanager": "-XX:+ExitOnOutOfMemoryError",
            "taskmanager.jvm-exit-on-oom": "true",
        } | self.settings
        lines = (f"{key}: {json.dumps(str(value))}\n" for key, value in settings.items())
        (conf / "config.yaml").write_text("".join(lines), "utf-8")
        variables = (f"FLINK_{name}_DIR={folder}" for name, folder in (("CONF", conf), ("LOG", tmp), ("PID", tmp)))
        return ["env", "-C", str(self.flink_home), *variables]

    def _start(
        self,
        name: str,
        host: int | None,
        command: list[str],
        *,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        """Starts a process in a session of its own; host None is this machine."""
        if self._pids(name):
            raise ClusterError(f"{name} runs already")
        if self.hosts == 3 and host is not None:
            command = ["ip", "netns", "exec", self._namespace(host), *command]
        # The caller's own S3 account is none of the cluster's business.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.state,
                env=inherited | (env or {}) | {PROCESS_VARIABLE: f"{self.suffix}/{name}"},
                start_new_session=True,
            )
        self._children.append(child)

    def _pids(self, name: str | None = None) -> dict[int, str]:
        """The living processes of a name, or of all names: pid → name."""
        mark, found = f"{PROCESS_VARIABLE}={self.suffix}/", {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                for variable in _environment(folder).decode("utf-8", "replace").split("\0"):
                    if variable.startswith(mark) and name in (None, variable.removeprefix(mark)):
                        found[int(folder.name)] = variable.removeprefix(mark)
        return found

    def _kill(self, name: str | None = None, *, patience: float = 0.0) -> None:
        if patience:
            for pid in self._pids(name):
                _kill(pid, signal.SIGTERM)
            with contextlib.suppress(ClusterError):
                _wait(lambda: not self._pids(name), patience, "")
        while pids := self._pids(name):
            for pid in pids:
                _kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _await_port(self, name: str, port: int) -> None:
        def listens() -> bool:
            pids = self._pids(name)
            if not pids:
                raise ClusterError(f"{name} does not start; see {self.log(name)}")
            return any(_listens(pid, port) for pid in pids)

        _wait(listens, 60, f"{name} does not listen on port {port}; see {self.log(name)}")

    def _await_slots(self) -> None:
        """Until the job manager has the slots of all task managers that run."""

        def there() -> bool:
            names = set(self._pids().values())
            if "job-manager" not in names:
                raise ClusterError(f"job-manager does not start; see {self.log('job-manager')}")
            expected = self.slots * len([name for name in names if name.startswith("task-manager-")])
            with contextlib.suppress(OSError):
                return bool(expected) and self.rest("/overview")["slots-total"] >= expected
            return False

        _wait(there, 300, f"the task managers do not report to the job manager; see {self.state / 'logs'}")


def get_parts(*, s3: bool = True) -> None:
    """Gets Flink, the job server and, if asked for, the S3 server, as far as they are missing.

    Raises:
      ClusterError: one cannot be had; the message is get.sh's.
    """
    command = [str(_HERE / "get.sh"), *([] if s3 else ["--no-s3"])]
    variables = os.environ | {"PYTHON": sys.executable, "FACELOG_FLINK_HOME": str(default_home())}
    done = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        raise ClusterError(done.stderr.strip() or f"{command[0]} failed")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


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


def _listens(pid: int, port: int) -> bool:
    """Whether someone listens on a TCP port on the host where a process runs."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state = line.split()[:4]
                if state == "0A" and local.endswith(f":{port:04X}"):
                    return True
    return False


def _wait(ready: Callable[[], bool], seconds: float, message: str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError(message)
        time.sleep(0.1)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("action", choices=["up", "down", "status"])
    parser.add_argument("--hosts", type=int, choices=[3, 1], help="by default 3 with root, else 1")
    parser.add_argument("--no-s3", action="store_true", help="no S3 server")
    parser.add_argument("--slots", type=int, help="of each task manager; by default 1 with three hosts, else 2")
    parser.add_argument("--state", help="the cluster's folder; by default FACELOG_FLINK_HOME/cluster")
    parser.add_argument("--pool", metavar="COMMAND", default=POOL, help="the worker pool; by default Beam's own")
    parser.add_argument("--restarts", type=int, default=20, help="how often a job may start again (default 20)")
    parser.add_argument(
        "--no-restart", dest="restarts", action="store_const", const=0, help="jobs end with one failure"
    )
    choice = parser.parse_args()
    try:
        cluster = Cluster(
            choice.state,
            hosts=choice.hosts or (1 if why_no_namespaces() else 3),
            slots=choice.slots,
            s3=not choice.no_s3,
            pool=choice.pool,
            restarts=choice.restarts,
        )
        if choice.action == "up":
            cluster.up()
            print(f"--flink_master={cluster.master}")
            print(f"--flink_job_server_jar={cluster.job_server_jar}")
            for name, value in cluster.env.items() if cluster.s3 else ():
                print(f"export {name}={value}")
        elif choice.action == "down":
            cluster.down()
        else:
            running = cluster.status()
            print("\n".join(f"{name}: {count} processes" for name, count in running.items()) or "nothing runs")
            return 0 if running else 3
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
