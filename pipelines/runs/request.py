"""What a run is asked for: its options, which do not depend on the runner, and the files that its inputs match."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from models.runtime import Device
from pipelines.inputs import Inputs
from schemas.run import Run
from schemas.storage import FileInfo
from transforms.match_inputs import Matched

LOCAL_ATTEMPTS = 3
CLUSTER_ATTEMPTS = 6
"""More than `LOCAL_ATTEMPTS`, because an attempt that is lost with its host counts, too."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a run goes, on any runner; the arguments of `analyze` explain it.

    Attributes:
      workers: processes of the local runner; None: one for each core.
      max_attempts: times that a segment may end its worker before its video is `failed`; None: the runner's default.
      retry_failed: whether `failed` files are tried again.
      keep_observations: whether every sample is kept under `observations/`.
      device: where the models run.
      worker_init: called in each worker process of the local runner before it begins.
      storage_options: of object stores, here and in the workers.
    """

    workers: int | None = None
    max_attempts: int | None = None
    retry_failed: bool = False
    keep_observations: bool = False
    device: Device = "auto"
    worker_init: Callable[[], object] | None = None
    storage_options: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Request:
    """A call of `analyze` whose inputs were matched.

    Attributes:
      inputs: that the call names.
      matched: the files that they are now.
      run: configuration, layout and name of the run.
      options: how the run goes.
    """

    inputs: Inputs
    matched: Matched
    run: Run
    options: RunOptions

    @property
    def files(self) -> list[FileInfo]:
        """The matched files, by uri."""
        return self.matched.files
