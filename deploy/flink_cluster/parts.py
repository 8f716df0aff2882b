"""What a cluster is made of: Flink, Beam's job server and an S3 server, which get.sh fetches once."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]


class ClusterError(Exception):
    """What is wrong and what to do, in one sentence."""


def default_home() -> Path:
    """Where get.sh puts Flink, the job server and the S3 server."""
    return Path(os.environ.get("FACELOG_FLINK_HOME") or CHECKOUT / ".cache" / "flink").resolve()


def get_parts(*, s3: bool = True) -> None:
    """Gets Flink, the job server and, if asked for, the S3 server, as far as they are missing.

    Raises:
      ClusterError: one cannot be had; the message is get.sh's.
    """
    command = [str(HERE / "get.sh"), *([] if s3 else ["--no-s3"])]
    variables = os.environ | {"PYTHON": sys.executable, "FACELOG_FLINK_HOME": str(default_home())}
    done = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        raise ClusterError(done.stderr.strip() or f"{command[0]} failed")
