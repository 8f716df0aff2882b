"""Submit a pipeline as one job to a Flink cluster, with Beam's portable runner.

Beam's job server (Java) runs beside the client and hands the job to the cluster. The Python code runs in worker pools,
one beside each task manager. `preflight` finds what the client can know to be wrong before anything is started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import shutil
import subprocess
import time
import types
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runners.end_with_parent import kill_with_parent
from runners.flink.rest import FlinkJob, FlinkRest
from runners.options import beam_options, quiet_beam
from schemas.errors import FacelogError, UsageError

if TYPE_CHECKING:
    import apache_beam as beam

_JAVA = 11
"""Oldest Java that Beam's job server runs on."""

_JAR_TIMEOUT = 5.0
_APPEARS_WITHIN = 120.0

# By restart strategy: the setting that limits the number of restarts, and its default; None: there is no limit.
_RESTARTS: dict[str, tuple[str, int | None]] = {
    "fixed-delay": ("attempts", 1),
    "failure-rate": ("max-failures-per-interval", 1),
    "exponential-delay": ("attempts-before-reset-backoff", None),
}


@dataclasses.dataclass(frozen=True)
class FlinkOptions:
    """Which cluster, and how much of it.

    Attributes:
      master: HOST:PORT of the job manager's REST API.
      version: of Flink, such as "1.20"; None: that of the cluster.
      job_server_jar: Beam's job server, a path or URL; None: Beam's own download for that version.
      parallelism: slots to use; None: all of the cluster.
      workers_per_host: Python processes of each task manager; None: one for each of its slots.
      pool: where each task manager finds its worker pool.
      more: further options, of Beam or its Flink runner, as on Beam's command line.
    """

    master: str
    version: str | None = None
    job_server_jar: str | None = None
    parallelism: int | None = None
    workers_per_host: int | None = None
    pool: str = "localhost:50000"
    more: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Preflight:
    """What `preflight` found out.

    Attributes:
      version: of Flink, such as "1.20".
      parallelism: number of slots that the job uses.
      workers_per_host: Python processes of each task manager.
      restarts: how often the cluster restarts a job after a loss; None: without limit.
      slots_taken: how many of the slots other jobs have; this job waits for them.
    """

    version: str
    parallelism: int
    workers_per_host: int
    restarts: int | None
    slots_taken: int = 0


def preflight(options: FlinkOptions) -> Preflight:
    """Checks whether a job can be started, without starting anything; takes a few seconds at most.

    Raises:
      UsageError: the options do not fit the cluster.
      FacelogError: Java, the job server or the cluster is missing, or the cluster gives up at the first loss.
    """
    beam_options(options.more)
    _check_java()
    rest = FlinkRest(options.master)
    overview = rest.overview()
    if not overview.slots:
        raise FacelogError(f"the cluster at {options.master} has no task manager: start one on each host")
    version = options.version or ".".join(overview.version.split(".")[:2])
    if not overview.version.startswith(f"{version}."):
        raise UsageError(
            f"--flink-version {version}: the cluster at {options.master} is Flink {overview.version}; leave the option "
            "out, and the cluster's own version is taken"
        )
    parallelism = options.parallelism or overview.slots
    if parallelism > overview.slots:
        raise UsageError(
            f"--parallelism {parallelism}: the cluster at {options.master} has {overview.slots} slots; ask for no "
            "more, or start more task managers"
        )
    _check_job_server(options, version)
    workers = options.workers_per_host or -(-overview.slots // overview.task_managers)
    return Preflight(version, parallelism, workers, _restarts(rest), max(0, parallelism - overview.free_slots))


def submit(build: Callable[[beam.Pipeline], object], name: str, options: FlinkOptions, found: Preflight) -> Submitted:
    """Hands a pipeline to the cluster.

    Args:
      build: applies transforms to the pipeline.
      name: of the job; no other job may have it.
      options: which cluster.
      found: result of `preflight`.

    Returns:
      The job, once the cluster knows it.

    Raises:
      FacelogError: it could not be handed over.
    """
    quiet_beam()
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.flink_runner import FlinkRunner

    arguments: dict[str, Any] = {
        "flink_master": options.master,
        "flink_version": found.version,
        "flink_job_server_jar": options.job_server_jar,
        "environment_type": "EXTERNAL",
        "environment_config": options.pool,
        "parallelism": found.parallelism,
        "sdk_worker_parallelism": found.workers_per_host,
        "job_name": name,
    }
    rest = FlinkRest(options.master)
    try:
        with _plain_failures(options.master), _job_server_ends_with_us():
            pipeline = beam.Pipeline(runner=FlinkRunner(), options=PipelineOptions(list(options.more), **arguments))
            build(pipeline)
            result = pipeline.run()
        until = time.monotonic() + _APPEARS_WITHIN
        while time.monotonic() < until:
            if job := rest.find(name):
                return Submitted(rest, job, result)
            if str(result.state) == "FAILED":
                break
            time.sleep(0.5)
    except KeyboardInterrupt:  # nobody else would know of the job
        with contextlib.suppress(FacelogError):
            if job := rest.find(name):
                rest.cancel(job.job_id)
        raise
    raise FacelogError(f"the cluster at {options.master} did not take the job: {_last_message(result)}")


class Submitted:
    """A job on a cluster.

    Attributes:
      rest: of the cluster.
      job_id: the cluster's name for it.
    """

    def __init__(self, rest: FlinkRest, job: FlinkJob, result: Any = None):
        """Takes a job of the cluster; `result` is Beam's, if this process started the job."""
        self.rest, self.job_id = rest, job.job_id
        self._result = result

    @classmethod
    def attach(cls, master: str, job_id: str) -> Submitted:
        """Finds a job that another process has started.

        Raises:
          FacelogError: the cluster does not know it.
        """
        rest = FlinkRest(master)
        job = rest.job(job_id)
        if job is None:
            raise FacelogError(f"the cluster at {master} knows no job {job_id} any more")
        return cls(rest, job)

    def states(self, every: float) -> Iterator[FlinkJob]:
        """The state of the job now and every few seconds until it has ended; the last state says how.

        If the job manager does not answer for a while, this waits.

        Raises:
          FacelogError: it did not answer for two minutes, or does not know the job any more.
        """
        silent_since: float | None = None
        while True:
            try:
                job = self.rest.job(self.job_id)
            except FacelogError:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _APPEARS_WITHIN:
                    raise
            else:
                silent_since = None
                if job is None:
                    raise FacelogError(f"the cluster at {self.rest.master} knows no job {self.job_id} any more")
                yield job
                if job.is_over:
                    return
            time.sleep(every)

    def what_went_wrong(self) -> str | None:
        """The newest failure in one line; None if there was none."""
        with contextlib.suppress(FacelogError):
            for text in self.rest.exceptions(self.job_id):
                return _first_sentence(text)
        return None

    def cancel(self) -> None:
        """Cancels the job; files that it has written stay."""
        self.rest.cancel(self.job_id)


def _first_sentence(trace: str) -> str:
    """The text of our own exception in a stack trace through Java and Python; if there is none, of the last cause."""
    ours = re.findall(r"^(?:schemas\.errors\.)?(?:\w*Error): (.+?)(?: \[while running '.*)?$", trace, re.MULTILINE)
    hosts = re.findall(r"HostError: (.+?)(?: \[while running '.*)?$", trace, re.MULTILINE)
    if hosts or ours:
        return str((hosts or ours)[-1]).strip()
    if re.search(r"UNAVAILABLE|Connection refused|io exception", trace) and "FnExternalWorkerPool" in trace:
        return _NO_POOL
    causes = re.findall(r"^Caused by: (.+)$", trace, re.MULTILINE)
    cause = (causes[-1] if causes else trace.strip().partition("\n")[0])[:500]
    cause = re.sub(r"^[\w.]*RecipientUnreachableException: .*", "it could not be reached", cause)
    if lost := re.search(_LOST, trace):
        where = next((f" at {address}" for address in lost.groups() if address), "")
        return f"a task manager{where} was lost ({cause}): {_LOOK}"
    return cause


_LOST = (
    r"remote task manager '/?([^ ']+)|Heartbeat of TaskManager (?:with id )?(\S+)|TaskExecutor is shutting down"
    r"|TaskManager (?:with id )?(\S+) is no longer reachable|to recipient \[Actor\[[\w.]+://flink@([^/]+)/"
)
_LOOK = "its log says why, and where that is OutOfMemoryError, it needs more memory (taskmanager.memory.process.size)"
_NO_POOL = "no worker pool answers beside a task manager: start `facelog worker` on each host"


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else "java"
    need = f"Beam's job server needs Java {_JAVA} or newer"
    if not shutil.which(java):
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no `java` on PATH"
        raise FacelogError(f"{need}, and {where}: install a JRE (17 will do) on this machine")
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise FacelogError(f"{need}, and {java} does not run: {error}") from error
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    if version and int(version[1]) < _JAVA:
        raise FacelogError(f"{need}, and {java} is Java {version[1]}: install a newer JRE, or set JAVA_HOME to one")


def _check_job_server(options: FlinkOptions, version: str) -> None:
    jar = options.job_server_jar
    if jar and "://" not in jar:
        if not os.path.isfile(jar):
            raise UsageError(f"--flink-job-server-jar {jar}: there is no such file")
        return
    quiet_beam()
    from apache_beam.options.pipeline_options import FlinkRunnerOptions
    from apache_beam.utils.subprocess_server import JavaJarServer

    if jar is None:
        if version not in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS:
            known = ", ".join(FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS)
            raise FacelogError(
                f"Beam has no job server for Flink {version}, only for {known}: use a cluster of one of these, or give "
                "a job server of your own (--flink-job-server-jar)"
            )
        jar = JavaJarServer.path_to_beam_jar(f":runners:flink:{version}:job-server:shadowJar")
        if "://" not in jar or os.path.exists(os.path.join(JavaJarServer.JAR_CACHE, os.path.basename(jar))):
            return
    try:
        urllib.request.urlopen(urllib.request.Request(jar, method="HEAD"), timeout=_JAR_TIMEOUT).close()
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise FacelogError(
            f"Beam's job server is not to be had from {jar} ({why}): download it where there is a network, or build "
            "it, and give it by --flink-job-server-jar"
        ) from None


def _restarts(rest: FlinkRest) -> int | None:
    """How often the cluster restarts a job; None: without limit.

    Raises:
      FacelogError: it never does.
    """
    settings = rest.settings()
    kind = settings.get("restart-strategy.type") or settings.get("restart-strategy") or "none"
    kind = {"fixeddelay": "fixed-delay", "failurerate": "failure-rate", "exponentialdelay": "exponential-delay"}.get(
        kind.lower(), kind.lower()
    )
    if kind in ("none", "off", "disable"):
        raise FacelogError(
            f"the cluster at {rest.master} gives a job up at the first lost host, since its configuration sets no "
            "restart strategy: set restart-strategy.type: fixed-delay and restart-strategy.fixed-delay.attempts: 20 in "
            "the job manager's configuration, and start it again"
        )
    key, default = _RESTARTS.get(kind, ("attempts", None))
    given = settings.get(f"restart-strategy.{kind}.{key}", "")
    return int(given) if given.isdigit() else default


@contextlib.contextmanager
def _job_server_ends_with_us() -> Iterator[None]:
    """Beam's job server, which this process starts, ends with it even where it is killed.

    Beam ends it in an orderly exit alone. A client that was killed left a Java process for ever.
    """
    from apache_beam.utils import subprocess_server

    ours = functools.partial(subprocess.Popen, preexec_fn=kill_with_parent)
    module: Any = subprocess_server
    plain = module.subprocess
    module.subprocess = types.SimpleNamespace(**vars(subprocess) | {"Popen": ours})
    try:
        yield
    finally:
        module.subprocess = plain


@contextlib.contextmanager
def _plain_failures(master: str) -> Iterator[None]:
    """Turns exceptions of Beam's client into one sentence."""
    try:
        yield
    except FacelogError:
        raise
    except Exception as error:
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        raise FacelogError(f"the job could not be handed over to the cluster at {master}: {text}") from error


def _last_message(result: Any) -> str:
    messages: Sequence[Any] = list(getattr(result, "_messages", ()))
    texts = [getattr(message.message_response, "message_text", "") for message in messages]
    return next((_first_sentence(text) for text in reversed(texts) if text.strip()), "it says nothing about why")
