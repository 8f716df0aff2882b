"""analyze as one job on a runner that Beam alone knows, Dataflow or Spark: the client waits for its end.

Not run: no account and no cluster of these was at hand.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from models.runtime import Device
from pipelines.analyze import archive_job
from pipelines.results.run_progress import begin_record
from pipelines.runs.bookkeeping import Archive, Summary
from pipelines.runs.display import LogProgress
from runners.lock import hold
from runners.options import quiet_beam
from runners.presets import MAX_ATTEMPTS, preset_arguments
from schemas import storage
from schemas.errors import FacelogError, HostError, UsageError
from schemas.tables import code_version
from transforms.job.check_host import HostCheck, refusal
from transforms.job.contents import Job, lists_of, write_job
from transforms.ledger import Run
from transforms.match_inputs import Matched


def analyze_on_preset(
    preset: str,
    matched: Matched,
    run: Run,
    more: Sequence[str],
    *,
    max_attempts: int | None,
    retry_failed: bool,
    keep_observations: bool,
    device: Device,
    storage_options: Mapping[str, str],
) -> Summary:
    """As `pipelines.analyze.analyze`, of files that were matched; `more` are options of Beam, as on its command line.

    Raises:
      UsageError: an option is missing or does not fit.
      HostError: a host is not fit.
      FacelogError: DIR is held by another run, or the job could not be begun, or failed.
    """
    arguments = preset_arguments(preset, more, name=f"facelog-{run.run_id}", gpu=device == "gpu")
    max_attempts = max_attempts or MAX_ATTEMPTS
    if max_attempts > MAX_ATTEMPTS:
        raise UsageError(
            f"--max-attempts {max_attempts}: {preset} gives a whole job up at the fourth failure of a part, so "
            f"{MAX_ATTEMPTS} are the most"
        )
    if preset == "dataflow":
        _check_dataflow(run.layout.out)
    with hold(run.layout.out):
        archive = Archive(run, matched.files, dict(matched.missing), retry_failed=retry_failed)
        if archive.todo:
            storage.delete_tree(run.layout.jobs)  # of a run that was killed
            job = Job(run, lists_of(archive.todo), keep_observations, max_attempts)
            check = HostCheck(job.folder, code_version(), run.config, archive.todo[0], dict(storage_options))
            job = dataclasses.replace(job, host_check=check)
            write_job(job, archive.todo, archive.known)
            begin_record(run.layout, run.run_id, preset, archive.todo)
            run_preset(preset, job, arguments, device)
            for row in archive.read_rows():
                LogProgress().video_done(row)
        return archive.close()


def run_preset(preset: str, job: Job, arguments: Sequence[str], device: Device = "auto") -> None:
    """Hands a job over and waits for its end; Ctrl-C cancels it.

    Args:
      preset: dataflow or spark.
      job: what `write_job` wrote down.
      arguments: of `preset_arguments`.
      device: where the models run.

    Raises:
      HostError: a host is not fit; the job has ended with it.
      FacelogError: the job could not be handed over, failed or was cancelled.
    """
    quiet_beam()
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    result: Any = None
    try:
        pipeline = beam.Pipeline(runner=_runner(preset), options=PipelineOptions(list(arguments)))
        archive_job(pipeline, job, device)
        result = pipeline.run()
        state = str(result.wait_until_finish())
    except KeyboardInterrupt:
        if result is not None:
            result.cancel()
        raise
    except Exception as error:  # each runner raises what it likes
        if sentence := refusal(job.folder):
            raise HostError(sentence) from error
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        if result is None:
            raise FacelogError(f"the job could not be handed over to {preset}: {why}") from error
        raise FacelogError(f"the job failed: {why}; {_GOES_ON}") from error
    if state != "DONE":
        raise FacelogError(f"the job ended as {state}; {_GOES_ON}")


_GOES_ON = "what is done stays, and the same command goes on from there"


def _runner(preset: str) -> Any:
    if preset == "dataflow":
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

        return DataflowRunner()
    from apache_beam.runners.portability.spark_runner import SparkRunner

    return SparkRunner()


def _check_dataflow(out: str) -> None:
    if storage.is_local(out):
        raise UsageError(f"--out {out}: Dataflow's workers do not see this machine's disk; give a folder like gs://…")
    if not importlib.util.find_spec("google.cloud") or not importlib.util.find_spec("google.cloud.dataflow"):
        raise FacelogError(
            "Beam's part for Google's cloud is not installed: pip install 'apache-beam[gcp]', in the version that "
            "facelog has here"
        )
