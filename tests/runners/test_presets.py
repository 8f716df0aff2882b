"""Dataflow and Spark without either: Beam takes the options, the job can be built with them, and the client's side."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.spark_runner import SparkRunner
from apache_beam.transforms import environments

from pipelines.analyze import archive_job
from pipelines.inputs import Inputs
from pipelines.runs import on_dataflow_or_spark as cluster_job
from pipelines.runs.bookkeeping import Summary
from pipelines.settings import make_config
from runners.presets import MAX_ATTEMPTS, beam_options, preset_arguments
from schemas import storage
from schemas.errors import FacelogError, HostError, UsageError
from schemas.layout import Layout
from schemas.tables import code_version
from tests.clips import portrait_clip
from tests.examples import example_file
from tests.tables import statuses
from transforms.job.check_host import HostCheck
from transforms.job.contents import Job
from transforms.ledger import Run

_GOOGLE = (
    "--project=some-project",
    "--region=europe-west1",
    "--temp_location=gs://bucket/temp",
    "--sdk_container_image=registry.example/facelog",
)
_SPARK = ("--spark_master_url=spark://host:7077",)
_NAME = "facelog-20261122T232151Z-0a1b2c3d"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = make_config(emotion_model=None, age_gender_model=None)
    return Run("20261122T232151Z-0a1b2c3d", config, Layout(str(tmp_path / "out"), config.hash))


@pytest.fixture
def job(run: Run) -> Job:
    job = Job(run, 1, False, MAX_ATTEMPTS)
    check = HostCheck(job.folder, code_version(), run.config, example_file())
    return Job(run, 1, False, MAX_ATTEMPTS, check)


@pytest.fixture
def analyze(run: Run) -> Callable[..., Summary]:
    def call(video: Path, *more: str, preset: str = "spark", max_attempts: int | None = None) -> Summary:
        matched = Inputs.of(str(video)).match(run.layout.out)
        return cluster_job.analyze_on_preset(
            preset,
            matched,
            run,
            more,
            max_attempts=max_attempts,
            retry_failed=False,
            keep_observations=False,
            device="cpu",
            storage_options={},
        )

    return call


def test_beam_takes_the_options_for_dataflow() -> None:
    options = PipelineOptions(preset_arguments("dataflow", _GOOGLE, name=_NAME, gpu=True))
    google, workers = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    assert (google.project, google.region, google.temp_location) == ("some-project", "europe-west1", "gs://bucket/temp")
    assert google.job_name == _NAME.lower()
    assert (workers.sdk_container_image, workers.machine_type) == ("registry.example/facelog", "n1-standard-4")
    assert workers.disk_size_gb == 50
    debug = options.view_as(DebugOptions)
    assert (debug.number_of_worker_harness_threads, debug.experiments) == (1, ["use_runner_v2"])
    hints = environments.resource_hints_from_options(options)
    assert hints == {
        "beam:resources:accelerator:v1": b"type:nvidia-tesla-t4;count:1;install-nvidia-driver",
    }


def test_beam_finds_nothing_wrong_with_them() -> None:
    def errors(preset: str, *more: str) -> list[str]:
        runner = DataflowRunner() if preset == "dataflow" else SparkRunner()
        return PipelineOptionsValidator(PipelineOptions(preset_arguments(preset, more, name=_NAME)), runner).validate()

    assert errors("dataflow", *_GOOGLE) == errors("spark", *_SPARK) == []
    assert "Invalid job_name" in str(errors("dataflow", *_GOOGLE, f"--job_name={_NAME}"))  # so it does look


def test_beam_takes_the_options_for_spark() -> None:
    options = PipelineOptions(preset_arguments("spark", _SPARK, name=_NAME, gpu=True))
    assert options.view_as(SparkRunnerOptions).spark_master_url == "spark://host:7077"
    portable = options.view_as(PortableOptions)
    assert (portable.environment_type, portable.environment_config) == ("EXTERNAL", "localhost:50000")
    assert int(portable.sdk_worker_parallelism) == 0
    assert not options.view_as(StandardOptions).resource_hints


def test_what_the_user_says_goes_first() -> None:
    more = (*_GOOGLE, "--worker_machine_type=g2-standard-8", "--experiments=shuffle_mode=service", "--job_name=mine")
    hint = "--resource_hints=accelerator=type:nvidia-l4;count:1;install-nvidia-driver"
    options = PipelineOptions(preset_arguments("dataflow", (*more, hint), name=_NAME, gpu=True))
    assert options.view_as(WorkerOptions).machine_type == "g2-standard-8"
    assert options.view_as(GoogleCloudOptions).job_name == "mine"
    assert options.view_as(DebugOptions).experiments == ["shuffle_mode=service", "use_runner_v2"]
    assert options.view_as(StandardOptions).resource_hints == [hint.partition("=")[2]]

    own = preset_arguments("spark", (*_SPARK, "--environment_type=DOCKER"), name=_NAME)
    assert beam_options(own)["environment_type"] == "DOCKER" and "environment_config" not in beam_options(own)


@pytest.mark.parametrize(
    ("preset", "more", "sentence"),
    [
        ("dataflow", _GOOGLE[:1], "--runner dataflow needs --region=REGION --temp_location=.* --sdk_container_image="),
        ("spark", (), "--runner spark needs --spark_master_url=spark://HOST:7077 behind --; see docs/cluster.md$"),
        ("dataflow", (*_GOOGLE, "--temp_location=/tmp"), "^--temp_location=/tmp: give a folder of Google's store"),
        ("spark", (*_SPARK, "--spark_version=2"), "^an option behind -- is not right: argument --spark_version: inv"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    preset: str, more: Sequence[str], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=sentence):
        preset_arguments(preset, more, name=_NAME)
    assert "usage:" not in capfd.readouterr().err  # argparse's hundred options


def test_the_job_is_built_for_dataflow(job: Job) -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    archive_job(pipeline, job)
    options = PipelineOptions(preset_arguments("dataflow", _GOOGLE, name=_NAME))
    DataflowRunner()._adjust_pipeline_for_dataflow_v2(pipeline)  # raises for keys that have no fixed encoding
    image = options.view_as(WorkerOptions).sdk_container_image
    hints = environments.resource_hints_from_options(options)
    environment = environments.DockerEnvironment.from_container_image(image, resource_hints=hints)
    proto = pipeline.to_runner_api(default_environment=environment)
    assert _payloads(proto, beam_runner_api_pb2.DockerPayload) == {"container_image": "registry.example/facelog"}


def test_the_job_is_built_for_spark(job: Job) -> None:
    options = PipelineOptions(preset_arguments("spark", _SPARK, name=_NAME))
    runner = SparkRunner()
    pipeline = beam.Pipeline(runner=runner, options=options)
    archive_job(pipeline, job)
    proto = runner.get_proto_pipeline(pipeline, options)
    found = _payloads(proto, beam_runner_api_pb2.ExternalPayload)
    assert list(found) == ["endpoint"] and found["endpoint"].url == "localhost:50000"


def _payloads(proto: Any, kind: Any) -> dict[str, Any]:
    """Fields of the one environment that steps of ours run in."""
    (environment,) = [each for each in proto.components.environments.values() if each.payload]
    return {field.name: value for field, value in kind.FromString(environment.payload).ListFields()}


@pytest.mark.slow
def test_a_run_from_its_files_to_its_rows(
    analyze: Callable[..., Summary], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    portrait_clip(tmp_path / "in" / "clip.mp4", seconds=1)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"no video")
    monkeypatch.setattr(cluster_job, "_runner", lambda preset: FnApiRunner())
    summary = analyze(tmp_path / "in", *_SPARK)
    assert summary.statuses == {"ok": 1, "corrupt": 1} and (summary.new, summary.exit_status) == (2, 3)
    assert summary.video_seconds > 0 and statuses(tmp_path / "out") == {"clip.mp4": "ok", "bad.mp4": "corrupt"}
    assert not list(storage.list_files(run.layout.jobs))

    monkeypatch.setattr(cluster_job, "_runner", lambda preset: pytest.fail("nothing is to be done"))
    assert analyze(tmp_path / "in", *_SPARK).unchanged == 2


def test_a_call_that_cannot_work_leaves_nothing(analyze: Callable[..., Summary], run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UsageError, match="--max-attempts 4: spark gives a whole job up at the fourth failure"):
        analyze(tmp_path / "a.mp4", *_SPARK, max_attempts=4)
    with pytest.raises(UsageError, match="Dataflow's workers do not see this machine's disk"):
        analyze(tmp_path / "a.mp4", *_GOOGLE, preset="dataflow")
    assert not Path(run.layout.out).exists()


class _Result:
    """Of a job that ends as told."""

    def __init__(self, end: str | BaseException):
        self.end, self.cancelled = end, False

    def wait_until_finish(self) -> str:
        if isinstance(self.end, str):
            return self.end
        raise self.end

    def cancel(self) -> None:
        self.cancelled = True


class _Runner(FnApiRunner):
    """Hands jobs over to nobody."""

    def __init__(self, result: _Result | Exception):
        super().__init__()
        self.result = result

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (_Result("CANCELLED"), "^the job ended as CANCELLED; what is done stays"),
        (_Result(RuntimeError("a worker died\nand more")), "^the job failed: a worker died; what is done stays"),
        (OSError("no such host"), "^the job could not be handed over to spark: no such host$"),
    ],
)
def test_a_job_that_fails_says_why(result: Any, sentence: str, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_job, "_runner", lambda preset: _Runner(result))
    with pytest.raises(FacelogError, match=sentence):
        cluster_job.run_preset("spark", job, [])


def test_a_host_that_is_not_fit_is_named(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(storage.join(job.folder, "refused.json"), b'{"message": "host b has another facelog"}')
    monkeypatch.setattr(cluster_job, "_runner", lambda preset: _Runner(_Result(RuntimeError("a trace"))))
    with pytest.raises(HostError, match="^host b has another facelog$"):
        cluster_job.run_preset("spark", job, [])


def test_ctrl_c_cancels_the_job(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _Result(KeyboardInterrupt())
    monkeypatch.setattr(cluster_job, "_runner", lambda preset: _Runner(result))
    with pytest.raises(KeyboardInterrupt):
        cluster_job.run_preset("spark", job, [])
    assert result.cancelled
