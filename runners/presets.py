"""Beam's options for Dataflow and Spark: what facelog needs there, unless the user says otherwise.

Neither was run: no account and no cluster of these was at hand. Its tests hold that Beam takes the options and that the
pipeline can be built with them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from runners.options import quiet_beam
from schemas.errors import UsageError

MAX_ATTEMPTS = 3
"""Both give a job up once a part of it has failed four times: a segment has to be left alone before."""

_NEEDED = {
    "dataflow": {
        "project": "PROJECT",
        "region": "REGION",
        "temp_location": "gs://BUCKET/FOLDER",
        "sdk_container_image": "IMAGE",
    },
    "spark": {"spark_master_url": "spark://HOST:7077"},
}

FILLED: dict[str, dict[str, str]] = {
    "dataflow": {
        "experiments": "use_runner_v2",
        # A process for each vCPU, as is Dataflow's way, with one thread: dlib holds the GIL.
        "number_of_worker_harness_threads": "1",
        "machine_type": "n1-standard-4",  # of N1, since T4s go with nothing else
        "disk_size_gb": "50",  # the image unpacked, with CUDA's libraries
    },
    "spark": {
        "environment_type": "EXTERNAL",
        "environment_config": "localhost:50000",
        "sdk_worker_parallelism": "0",  # as many as an executor's host has cores, but one
    },
}

ACCELERATOR = "accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
"""Hint for Dataflow: what each of its machines has with `--device gpu`."""


def beam_options(arguments: Sequence[str]) -> dict[str, Any]:
    """What options say that are written as on Beam's command line; those that Beam does not know are left out.

    Raises:
      UsageError: Beam refuses one.
    """
    quiet_beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints all options there are, then ends the process
            options: dict[str, Any] = PipelineOptions(list(arguments)).get_all_options(drop_default=True)
    except (SystemExit, ValueError) as error:
        why = said.getvalue().strip().rpartition("error: ")[2] or error
        raise UsageError(f"an option behind -- is not right: {why}") from None
    return options


def preset_arguments(preset: str, more: Sequence[str], *, name: str, gpu: bool = False) -> list[str]:
    """Options for a job, as on Beam's command line.

    Args:
      preset: dataflow or spark.
      more: what the user gave; it goes before what is filled in here.
      name: of the job.
      gpu: whether workers are to have one; says nothing of Spark, whose hosts are the user's.

    Raises:
      UsageError: one that is needed is missing, or does not fit.
    """
    given = beam_options(more)
    if missing := [f"--{key}={what}" for key, what in _NEEDED[preset].items() if not given.get(key)]:
        raise UsageError(f"--runner {preset} needs {' '.join(missing)} behind --; see docs/cluster.md")
    filled = dict(FILLED[preset], job_name=name.lower())  # Dataflow takes no capitals
    if preset == "dataflow":
        if not given["temp_location"].startswith("gs://"):
            raise UsageError(f"--temp_location={given['temp_location']}: give a folder of Google's store, gs://…")
        if gpu and not any(hint.startswith("accelerator=") for hint in given.get("resource_hints") or ()):
            filled["resource_hints"] = ACCELERATOR
    elif "environment_type" in given:  # then its address is the user's, too
        del filled["environment_config"]
    repeatable = ("experiments", "resource_hints")
    return [*more, *(f"--{key}={value}" for key, value in filled.items() if key not in given or key in repeatable)]
