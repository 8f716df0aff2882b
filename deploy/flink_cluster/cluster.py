"""A Flink cluster with an S3 server on this machine.

With root it has three hosts, each in a network namespace of its own: one with the job manager and two with a task
manager and a Beam worker pool each. A bridge joins them, and this machine has an address on it, so that a client and
the S3 server run here and every host reaches them. Without root it is one host on 127.0.0.1.

A cluster is known by its folder alone: the names of its namespaces, bridge and subnet are made from that folder's
path, and its processes carry that name in their environment. So `down` finds all of it, whoever started it.
"""

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.flink_cluster.flink_settings import REST_PORT, settings_of, write_settings
from deploy.flink_cluster.network import Network, why_no_namespaces
from deploy.flink_cluster.parts import CHECKOUT, ClusterError, default_home, get_parts
from deploy.flink_cluster.processes import Processes, listens, wait

POOL_PORT = 50000
S3_PORT = 7070
JOB_SERVER_PORT = 8099
POOL = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.worker_pool_main --service_port={POOL_PORT}"
QUICK_JAVA = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
)
"""Java starts with less work and runs slower later: for programs that live for minutes."""


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
      java_options: of every Java program, such as `QUICK_JAVA`.

    Attributes:
      master: address and port of Flink's REST API, for `--flink-master`.
      s3_endpoint: URL of the S3 server.
      env: environment variables with which S3 clients find the server.
      flink_home: Flink's distribution.
      job_server_jar: Beam's job server, for --flink_job_server_jar.
      job_server: address of the one that `start_job_server` starts, for --job_endpoint.
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
        java_options: Sequence[str] = (),
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
        self.java_options = tuple(java_options)
        self.flink_home = home / "flink"
        self.job_server_jar = home / "job-server.jar"
        self._versitygw = home / "versitygw"
        digest = hashlib.sha256(str(self.state).encode()).digest()
        self.suffix = digest.hex()[:6]
        self._network = Network(self.suffix, f"10.{digest[0]}.{digest[1]}")
        self._processes = Processes(self.suffix, self.state / "logs")

        self.master = f"{self._address(0)}:{REST_PORT}"
        machine = self._network.machine if hosts == 3 else "127.0.0.1"
        self.s3_endpoint, self.job_server = f"http://{machine}:{S3_PORT}", f"{machine}:{JOB_SERVER_PORT}"
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
        if self._processes.pids():
            raise ClusterError(
                f"the cluster of {self.state} runs already; end it with: python -m deploy.flink_cluster down"
            )
        if self.hosts == 3 and (why := why_no_namespaces()):
            raise ClusterError(f"three hosts need network namespaces: {why}; one host does without (--hosts 1)")
        for port in (REST_PORT, POOL_PORT, S3_PORT) if self.hosts == 1 else ():
            if listens(os.getpid(), port):
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
                self._network.make((0, *self.task_managers))
            if self.s3:
                self.start_s3(wait=False)
            self._start("job-manager", 0, [*self._flink("job-manager", 0), "bin/jobmanager.sh", "start-foreground"])
            for host in self.task_managers:
                self.start_pool(host, wait=False)
                self.start_task_manager(host, wait=False)
            if self.s3:
                self._processes.await_port("s3", S3_PORT)
            self.await_pools()
            self._await_slots()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Ends every process of the cluster and removes its network; does nothing where there is none."""
        self._processes.kill()
        self._processes.reap()
        self._network.remove()
        shutil.rmtree(self.state / "tmp", ignore_errors=True)

    def status(self) -> dict[str, int]:
        """Processes by name, with their number."""
        count: dict[str, int] = {}
        for name in self._processes.pids().values():
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
        self._processes.kill(f"task-manager-{host}")

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
        return self._processes.kill_children(f"pool-{host}")  # the pool is the oldest of them

    def start_pool(self, host: int, *, wait: bool = True) -> None:
        """Starts the host's worker pool, with the interpreter's folder first on PATH."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
        variables = self.env | {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
        self._start(f"pool-{host}", host, shlex.split(self.pool), cwd=CHECKOUT, env=variables)
        if wait:
            self._processes.await_port(f"pool-{host}", POOL_PORT)

    def await_pools(self) -> None:
        """Waits until the worker pools of all hosts listen."""
        for host in self.task_managers:
            self._processes.await_port(f"pool-{host}", POOL_PORT)

    def stop_pool(self, host: int) -> None:
        """Ends the host's worker pool and its workers: asks first, kills after five seconds."""
        self._processes.kill(f"pool-{host}", patience=5.0)

    def start_s3(self, *, wait: bool = True) -> None:
        """Starts the S3 server; its buckets are those from before."""
        address = self.s3_endpoint.removeprefix("http://")
        keys = {"ROOT_ACCESS_KEY": self.env["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": self.env["AWS_SECRET_ACCESS_KEY"]}
        metadata, buckets = str(self.state / "metadata"), str(self.state / "buckets")
        command = [str(self._versitygw), "--port", address, "posix", "--sidecar", metadata, buckets]
        self._start("s3", None, command, env=keys)
        if wait:
            self._processes.await_port("s3", S3_PORT)

    def stop_s3(self) -> None:
        """Ends it with kill -9; the buckets stay."""
        self._processes.kill("s3")

    def start_job_server(self) -> None:
        """Starts a job server on this machine that many clients can use, and waits until it listens."""
        host, _, port = self.job_server.partition(":")
        options = ["--job-host", host, "--job-port", port, "--artifact-port", "0", "--expansion-port", "0"]
        master = ["--flink-master", f"http://{self.master}", "--artifacts-dir", str(self.state / "tmp" / "artifacts")]
        self._start(
            "job-server", None, ["java", *self.java_options, "-jar", str(self.job_server_jar), *options, *master]
        )
        self._processes.await_port("job-server", JOB_SERVER_PORT)

    def make_bucket(self, name: str) -> str:
        """Makes an empty bucket.

        Returns:
          Its URI, s3://NAME.
        """
        (self.state / "buckets" / name).mkdir()
        return f"s3://{name}"

    def log(self, name: str) -> Path:
        """The file with a process's output."""
        return self._processes.log(name)

    def _address(self, host: int) -> str:
        """Host 0 has the job manager."""
        return self._network.address(host) if self.hosts == 3 else "127.0.0.1"

    def _flink(self, name: str, host: int) -> list[str]:
        """Writes a Flink process's configuration; the start of its command."""
        conf, tmp, master = self.state / "conf" / name, self.state / "tmp", self._address(0)
        settings = settings_of(
            master=master,
            # The job manager's REST server hands a job's files to its blob server by way of localhost.
            bind="0.0.0.0" if self.hosts == 3 else master,
            address=self._address(host),
            slots=self.slots,
            restarts=self.restarts,
            tmp=tmp,
            java_options=self.java_options,
        )
        write_settings(conf, settings | self.settings, self.flink_home)
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
        """Starts a process; host None is this machine."""
        if self.hosts == 3 and host is not None:
            command = [*self._network.enter(host), *command]
        self._processes.start(name, command, cwd=cwd or self.state, env=env or {})

    def _await_slots(self) -> None:
        """Until the job manager has the slots of all task managers that run."""

        def there() -> bool:
            names = set(self._processes.pids().values())
            if "job-manager" not in names:
                raise ClusterError(f"job-manager does not start; see {self.log('job-manager')}")
            expected = self.slots * len([name for name in names if name.startswith("task-manager-")])
            with contextlib.suppress(OSError):
                return bool(expected) and self.rest("/overview")["slots-total"] >= expected
            return False

        wait(there, 300, f"the task managers do not report to the job manager; see {self.state / 'logs'}")
