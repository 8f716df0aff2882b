"""The checks before a job is submitted, how it is watched, and the sentences that its stack traces become."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.flink_runner import FlinkRunner

from runners.flink import submit as flink_module
from runners.flink.rest import FlinkJob, FlinkRest
from runners.flink.submit import FlinkOptions, Preflight, Submitted, preflight, submit
from runners.flink.submit import _first_sentence as first_sentence
from schemas.errors import FacelogError, UsageError
from tests.runners.fake_flink import FakeFlink, fake_flink


@pytest.fixture
def flink() -> Iterator[FakeFlink]:
    with fake_flink() as flink:
        yield flink


def fake_java(path: Path, said: str) -> None:
    """A program that says of itself what `java -version` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only `java` there is; it says that it is a Java 17."""
    path = tmp_path / "jre" / "bin" / "java"
    fake_java(path, 'openjdk version "17.0.9" 2023-10-17\nOpenJDK Runtime Environment (build 17.0.9+9)')
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return path


@pytest.fixture
def options(flink: FakeFlink, java: Path, tmp_path: Path) -> FlinkOptions:
    """With which nothing is wrong."""
    jar = tmp_path / "job-server.jar"
    jar.write_bytes(b"PK")
    return FlinkOptions(flink.master, job_server_jar=str(jar))


def changed(options: FlinkOptions, **changes: Any) -> FlinkOptions:
    return FlinkOptions(**{**vars(options), **changes})


def test_all_of_the_cluster_is_taken(options: FlinkOptions, flink: FakeFlink) -> None:
    assert preflight(options) == Preflight("1.19", parallelism=4, workers_per_host=2, restarts=30)
    flink.overview |= {"taskmanagers": 3, "slots-total": 4}
    assert preflight(options).workers_per_host == 2  # as many as the host with the most slots may need


def test_part_of_the_cluster_is_taken(options: FlinkOptions) -> None:
    some = changed(options, parallelism=3, workers_per_host=1, version="1.19")
    assert preflight(some) == Preflight("1.19", parallelism=3, workers_per_host=1, restarts=30)


def test_slots_of_other_jobs_are_noted(options: FlinkOptions, flink: FakeFlink) -> None:
    flink.overview["slots-available"] = 1
    assert preflight(options).slots_taken == 3
    assert preflight(changed(options, parallelism=1)).slots_taken == 0


def test_there_is_no_java(options: FlinkOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FacelogError, match="needs Java 11 or newer, and there is no `java` on PATH: install a JRE"):
        preflight(options)


def test_java_home_goes_before_path(
    options: FlinkOptions, java: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(FacelogError, match=f"JAVA_HOME={tmp_path} has no bin/java"):
        preflight(options)
    monkeypatch.setenv("JAVA_HOME", str(java.parents[1]))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert preflight(options).parallelism == 4


@pytest.mark.parametrize(
    ("said", "version"), [('java version "1.8.0_392"', 8), ('openjdk version "9.0.4"', 9), ('openjdk version "10"', 10)]
)
def test_java_is_too_old(options: FlinkOptions, java: Path, said: str, version: int) -> None:
    fake_java(java, said)
    with pytest.raises(FacelogError, match=f"and java is Java {version}: install a newer JRE"):
        preflight(options)


@pytest.mark.parametrize("said", ['openjdk version "11.0.2" 2019', 'openjdk version "21-ea" 2023', "another machine"])
def test_java_is_new_enough_or_says_nothing(options: FlinkOptions, java: Path, said: str) -> None:
    fake_java(java, said)
    assert preflight(options).parallelism == 4


def test_java_does_not_run(options: FlinkOptions, java: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java.write_text("no program")
    monkeypatch.setenv("PATH", str(java.parent))
    with pytest.raises(FacelogError, match="and java does not run: "):
        preflight(options)


def test_nobody_answers(options: FlinkOptions) -> None:
    with pytest.raises(FacelogError, match=r"no Flink job manager answers at 127\.0\.0\.1:1 "):
        preflight(changed(options, master="127.0.0.1:1"))


def test_there_is_no_task_manager(options: FlinkOptions, flink: FakeFlink) -> None:
    flink.overview |= {"taskmanagers": 0, "slots-total": 0, "slots-available": 0}
    with pytest.raises(FacelogError, match=f"cluster at {flink.master} has no task manager: start one on each host"):
        preflight(options)


@pytest.mark.parametrize("version", ["1.20", "1.1", "2"])
def test_the_cluster_has_another_version(options: FlinkOptions, version: str) -> None:
    with pytest.raises(UsageError, match=rf"--flink-version {version}: .* is Flink 1\.19\.3; leave the option out"):
        preflight(changed(options, version=version))


def test_there_are_fewer_slots(options: FlinkOptions) -> None:
    with pytest.raises(UsageError, match="--parallelism 5: .* has 4 slots"):
        preflight(changed(options, parallelism=5))


def test_the_jar_is_not_there(options: FlinkOptions, flink: FakeFlink, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"--flink-job-server-jar {tmp_path}: there is no such file"):
        preflight(changed(options, job_server_jar=str(tmp_path)))
    url = f"http://{flink.master}/job-server.jar"
    with pytest.raises(FacelogError, match=rf"job server is not to be had from {url} \(Not Found\): download it"):
        preflight(changed(options, job_server_jar=url))
    flink.answers["/job-server.jar"] = b"PK"
    assert preflight(changed(options, job_server_jar=url)).parallelism == 4


def test_beam_has_no_job_server_for_the_cluster(options: FlinkOptions, flink: FakeFlink) -> None:
    flink.overview["flink-version"] = "1.7.2"
    with pytest.raises(FacelogError, match=r"no job server for Flink 1\.7, only for 1\.\d+, .*--flink-job-server-jar"):
        preflight(changed(options, job_server_jar=None))


_BACKOFF = "restart-strategy.exponential-delay.attempts-before-reset-backoff"


@pytest.mark.parametrize(
    ("settings", "restarts"),
    [
        ({"restart-strategy.type": "fixed-delay"}, 1),  # Flink's own default
        ({"restart-strategy": "fixeddelay", "restart-strategy.fixed-delay.attempts": "7"}, 7),
        ({"restart-strategy.type": "exponential-delay"}, None),
        ({"restart-strategy.type": "Exponential-Delay", "restart-strategy.fixed-delay.attempts": "7"}, None),
        ({"restart-strategy.type": "exponential-delay", _BACKOFF: "9"}, 9),
        ({"restart-strategy.type": "failure-rate"}, 1),
    ],
)
def test_how_often_the_cluster_starts_a_job_again(
    options: FlinkOptions, flink: FakeFlink, settings: dict[str, str], restarts: int | None
) -> None:
    flink.settings = settings
    assert preflight(options).restarts == restarts


@pytest.mark.parametrize("strategy", [None, "none", "off", "disable", "NONE"])
def test_the_cluster_gives_up_at_the_first_loss(options: FlinkOptions, flink: FakeFlink, strategy: str | None) -> None:
    flink.settings = {"restart-strategy.type": strategy} if strategy else {}
    with pytest.raises(FacelogError, match="gives a job up at the first lost host, .*: fixed-delay"):
        preflight(options)


class Result:
    """What Beam's client knows of a job that its job server could not hand over."""

    state = "FAILED"

    def __init__(self, text: str):
        message = type("Message", (), {"message_text": text})
        self._messages = [type("Entry", (), {"message_response": message})]


def build(pipeline: beam.Pipeline) -> None:
    _ = pipeline | beam.Create([1])


FOUND = Preflight("1.19", 1, 1, None)


def test_a_job_that_was_handed_over_is_found_by_its_name(
    options: FlinkOptions, flink: FakeFlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    def run_pipeline(runner: FlinkRunner, pipeline: beam.Pipeline, given: Any) -> object:
        told.append(given.get_all_options())
        threading.Timer(0.7, flink.jobs.update, [{"17": ("facelog-1", "INITIALIZING")}]).start()
        return object.__new__(Result)

    monkeypatch.setattr(Result, "state", "STARTING")
    monkeypatch.setattr(FlinkRunner, "run_pipeline", run_pipeline)
    submitted = submit(build, "facelog-1", changed(options, more=("--job_server_timeout=5",)), FOUND)
    assert submitted.job_id == "17"
    names = ("flink_master", "environment_config", "parallelism", "sdk_worker_parallelism", "job_server_timeout")
    assert [told[0][name] for name in names] == [flink.master, "localhost:50000", 1, 1, 5]


def test_a_job_that_the_cluster_did_not_take(
    options: FlinkOptions, flink: FakeFlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "org.apache.flink.util.FlinkException: no\n\tat a.b(C.java:1)\nCaused by: java.io.IOException: too large"
    monkeypatch.setattr(FlinkRunner, "run_pipeline", lambda *_: Result(trace))
    with pytest.raises(FacelogError, match=rf"{flink.master} did not take the job: java\.io\.IOException: too large$"):
        submit(build, "facelog-1", options, FOUND)


def test_a_job_that_could_not_be_handed_over(options: FlinkOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_pipeline(*_: Any) -> None:
        raise RuntimeError("the job server ended\nwith a long text")

    monkeypatch.setattr(FlinkRunner, "run_pipeline", run_pipeline)
    with pytest.raises(FacelogError, match="could not be handed over to the cluster at .*: the job server ended$"):
        submit(build, "facelog-1", options, FOUND)


def test_an_option_of_beam_that_is_not_right(options: FlinkOptions, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="option behind -- is not right: argument --job_server_timeout.*'many'"):
        preflight(changed(options, more=("--job_server_timeout=many",)))
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def submitted(flink: FakeFlink) -> Submitted:
    flink.jobs["17"] = ("facelog-1", "RUNNING")
    return Submitted.attach(flink.master, "17")


def test_a_job_is_watched_to_its_end(flink: FakeFlink, submitted: Submitted) -> None:
    states = []
    for job in submitted.states(0.01):
        states.append(job.state)
        flink.jobs["17"] = ("facelog-1", {1: "RESTARTING", 2: "RUNNING"}.get(len(states), "FINISHED"))
    assert states == ["RUNNING", "RESTARTING", "RUNNING", "FINISHED"]


def test_a_job_manager_that_is_away_for_a_while_is_waited_for(flink: FakeFlink, submitted: Submitted) -> None:
    states = submitted.states(0.01)
    assert next(states).state == "RUNNING"
    flink.answers["/jobs/17"] = 503
    threading.Timer(0.3, flink.answers.clear).start()
    assert next(states).state == "RUNNING"
    assert flink.asked.count("GET /jobs/17") > 3


def test_a_job_manager_that_stays_away_is_given_up(
    flink: FakeFlink, submitted: Submitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flink_module, "_APPEARS_WITHIN", 0.2)
    flink.answers["/jobs/17"] = 503
    with pytest.raises(FacelogError, match="answers 503 to /jobs/17"):
        next(submitted.states(0.01))


def test_a_job_that_the_cluster_forgot(flink: FakeFlink, submitted: Submitted) -> None:
    flink.jobs.clear()
    for ask in (lambda: next(submitted.states(0.01)), lambda: Submitted.attach(flink.master, "17")):
        with pytest.raises(FacelogError, match=f"cluster at {flink.master} knows no job 17 any more"):
            ask()


def test_what_went_wrong_is_the_newest_failure(flink: FakeFlink, submitted: Submitted) -> None:
    assert submitted.what_went_wrong() is None
    flink.exceptions = [trace("schemas.errors.HostError: host b has not the model emotion: no"), trace("ValueError: x")]
    assert submitted.what_went_wrong() == "host b has not the model emotion: no"
    flink.answers["/jobs/17/exceptions"] = 500
    assert submitted.what_went_wrong() is None


def test_a_submitted_job_is_cancelled(flink: FakeFlink, submitted: Submitted) -> None:
    submitted.cancel()
    assert flink.asked[-1] == "PATCH /jobs/17?mode=cancel"
    assert submitted.rest.job("17") == FlinkJob("17", "facelog-1", "RUNNING", has_slots=True)
    assert isinstance(submitted.rest, FlinkRest)


def trace(python: str, step: str = "") -> str:
    """As Flink shows an exception of a Python worker: Java around Python, the worker's trace told twice."""
    said = f"{python}{step}"
    inner = f"""java.lang.RuntimeException: Error received from SDK harness for instruction 7: \
Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/apache_beam/runners/worker/sdk_worker.py", line 3, in _execute
    response = task()
               ^^^^^^
  File "apache_beam/runners/common.py", line 1500, in apache_beam.runners.common.DoFnRunner.process
  File "/opt/venv/lib/python3.11/site-packages/transforms/check_host.py", line 66, in check_host
    raise HostError(sentence)
{python}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/worker/operations.py", line 923, in process
{said}
"""
    return f"""org.apache.flink.runtime.taskmanager.AsynchronousException: Caught exception while processing
\tat org.apache.flink.runtime.taskmanager.Task.doRun(Task.java:767)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.lang.Exception: The user defined 'open()' method caused an exception: {inner}
\tat org.apache.flink.runtime.operators.BatchTask.run(BatchTask.java:518)
\t... 4 more
Caused by: {inner}
\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient$ResponseStreamObserver.onNext(X.java:187)
\t... 3 more
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (trace("schemas.errors.HostError: host a (b) does not see s3://x: y"), "host a (b) does not see s3://x: y"),
        (
            trace("schemas.errors.StorageError: /out/x: denied", " [while running 'Write-ptransform-3']"),
            "/out/x: denied",
        ),
        (trace("RuntimeError: as told", " [while running 'AnalyzeSegments/ParDo(X)-ptransform-12']"), "as told"),
        (
            "org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\n"
            "\tat org.apache.flink.runtime.Handler.handleFailure(Handler.java:139)\n"
            "Caused by: org.apache.flink.runtime.taskmanager.TaskManagerException: lost\n\t... 2 more\n"
            "Caused by: java.util.concurrent.TimeoutException: Heartbeat of TaskManager 10.0.0.3:1 timed out.\n",
            "a task manager at 10.0.0.3:1 was lost (java.util.concurrent.TimeoutException: Heartbeat of TaskManager "
            f"10.0.0.3:1 timed out.): {flink_module._LOOK}",
        ),
        (
            "org.apache.flink.runtime.JobException: Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy\n"
            "Caused by: org.apache.flink.runtime.io.network.netty.exception.RemoteTransportException: Connecting to "
            "remote task manager '/10.0.0.3:37691 [ 10.0.0.3:35923-d96b39 ] ' has failed. This might indicate that\n"
            "Caused by: java.net.ConnectException: finishConnect(..) failed: Connection refused\n",
            "a task manager at 10.0.0.3:37691 was lost (java.net.ConnectException: finishConnect(..) failed: "
            f"Connection refused): {flink_module._LOOK}",
        ),
        (
            "org.apache.flink.util.FlinkExpectedException: The TaskExecutor is shutting down.\n\tat a.b(C.java:1)",
            "a task manager was lost (org.apache.flink.util.FlinkExpectedException: The TaskExecutor is shutting down.)"
            f": {flink_module._LOOK}",
        ),
        (
            "org.apache.flink.runtime.rpc.exceptions.RecipientUnreachableException: Could not send message "
            "[RemoteRpcInvocation(TaskExecutorGateway.submitTask(TaskDeploymentDescriptor, JobMasterId, Time))] from "
            "sender [Actor[pekko://flink/temp/taskmanager_0$dE]] to recipient [Actor[pekko.tcp://flink@10.0.0.3:35491/"
            "user/rpc/taskmanager_0#259150481]], because the recipient is unreachable.\n\tat a.b(C.java:1)",
            f"a task manager at 10.0.0.3:35491 was lost (it could not be reached): {flink_module._LOOK}",
        ),
        (
            "java.lang.OutOfMemoryError: Java heap space\n\tat a.b(C.java:1)",
            "java.lang.OutOfMemoryError: Java heap space",
        ),
        ("x" * 2000, "x" * 500),
    ],
    ids=[
        "host",
        "storage",
        "python",
        "lost host",
        "host that refuses",
        "host that ends",
        "host out of reach",
        "one line",
        "long",
    ],
)
def test_the_first_sentence_of_a_trace_is_its_authors(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_the_trace_of_a_host_without_a_worker_pool_says_what_to_do() -> None:
    text = """org.apache.flink.runtime.JobException: Recovery is suppressed
Caused by: org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.util.concurrent.UncheckedExecutionException: \
org.apache.beam.vendor.grpc.v1p60p1.io.grpc.StatusRuntimeException: UNAVAILABLE: io exception
\tat org.apache.beam.runners.fnexecution.control.DefaultJobBundleFactory.prepare(DefaultJobBundleFactory.java:290)
\tat org.apache.beam.runners.flink.translation.functions.FlinkExecutableStageFunction.open(X.java:165)
Caused by: org.apache.beam.vendor.grpc.v1p60p1.io.grpc.StatusRuntimeException: UNAVAILABLE: io exception
\tat org.apache.beam.model.fnexecution.v1.BeamFnExternalWorkerPoolGrpc$Stub.startWorker(X.java:224)
\tat org.apache.beam.runners.fnexecution.environment.ExternalEnvironmentFactory.createEnvironment(X.java:110)
Caused by: org.apache.beam.vendor.grpc.v1p60p1.io.netty.channel.AbstractChannel$AnnotatedConnectException: \
finishConnect(..) failed: Connection refused: localhost/127.0.0.1:50000
Caused by: java.net.ConnectException: finishConnect(..) failed: Connection refused
"""
    assert first_sentence(text).startswith("no worker pool answers beside a task manager: start `facelog worker`")


def test_a_python_worker_that_ends_is_not_taken_for_a_missing_pool() -> None:
    text = "java.lang.IllegalStateException: call already closed\nCaused by: java.io.IOException: Connection refused"
    assert first_sentence(text) == "java.io.IOException: Connection refused"
