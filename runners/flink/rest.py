"""Requests to the REST API of a Flink job manager.

Source: https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from runners.lease import JobLease
from schemas.errors import FacelogError

_TIMEOUT = 5.0
_ADDRESS = "its address is that of its web page, HOST:8081 as a rule"
_OVER = ("FINISHED", "CANCELED", "FAILED")
_ON_HOSTS = ("DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED", "FAILED")


@dataclasses.dataclass(frozen=True)
class FlinkJob:
    """A job as the cluster reports it.

    Attributes:
      job_id: the cluster's name for the job.
      name: the name that facelog gave it.
      state: such as RUNNING, RESTARTING, FINISHED, CANCELED, FAILED.
      has_slots: whether a part of the job runs, or ran, on a host.
    """

    job_id: str
    name: str
    state: str
    has_slots: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self.state in _OVER


@dataclasses.dataclass(frozen=True)
class Overview:
    """The size of a cluster.

    Attributes:
      version: of Flink, such as "1.19.3".
      task_managers: number of task managers.
      slots: number of slots of all task managers.
      free_slots: number of slots without a job.
    """

    version: str
    task_managers: int
    slots: int
    free_slots: int


class FlinkRest:
    """Sends requests to the job manager of a cluster.

    Attributes:
      master: HOST:PORT or URL of the job manager's REST API.
    """

    def __init__(self, master: str):
        """Sends no request yet."""
        self.master = master
        self._url = (master if "://" in master else f"http://{master}").rstrip("/")

    def overview(self) -> Overview:
        """The size of the cluster.

        Raises:
          FacelogError: nothing answers, or what answers is not Flink; all other methods raise the same.
        """
        try:
            found = self._get("/overview")
        except _NotFoundError:
            raise FacelogError(f"what answers at {self.master} is no Flink job manager; {_ADDRESS}") from None
        try:
            return Overview(
                *(found[key] for key in ("flink-version", "taskmanagers", "slots-total", "slots-available"))
            )
        except (KeyError, TypeError):
            raise FacelogError(f"what answers at {self.master} is no Flink job manager; {_ADDRESS}") from None

    def settings(self) -> dict[str, str]:
        """The settings in the job manager's configuration; defaults are not among them."""
        return {entry["key"]: entry["value"] for entry in self._get("/jobmanager/config")}

    def find(self, name: str) -> FlinkJob | None:
        """The job with a name; None if there is none yet."""
        for job in self._get("/jobs/overview")["jobs"]:
            if job["name"] == name:
                return FlinkJob(job["jid"], name, job["state"], _has_slots(job["tasks"]))
        return None

    def job(self, job_id: str) -> FlinkJob | None:
        """The job with an id; None if the cluster does not know it, or has forgotten it."""
        try:
            found = self._get(f"/jobs/{job_id}")
        except _NotFoundError:
            return None
        return FlinkJob(job_id, found["name"], found["state"], _has_slots(found["status-counts"]))

    def exceptions(self, job_id: str) -> list[str]:
        """Stack traces of the failures of a job so far, the newest first."""
        found = self._get(f"/jobs/{job_id}/exceptions")
        history = found.get("exceptionHistory", {}).get("entries", [])
        texts = [found.get("root-exception") or "", *(entry.get("stacktrace") or "" for entry in history)]
        return [text for text in dict.fromkeys(texts) if text]

    def cancel(self, job_id: str) -> None:
        """Asks the cluster to cancel a job, which takes a moment."""
        self._request("PATCH", f"/jobs/{job_id}?mode=cancel")

    def _get(self, path: str) -> Any:
        text = self._request("GET", path)
        try:
            return json.loads(text)
        except ValueError:
            raise FacelogError(f"what answers at {self.master} is no Flink job manager; {_ADDRESS}") from None

    def _request(self, method: str, path: str) -> bytes:
        try:
            request = urllib.request.Request(self._url + path, method=method)
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise _NotFoundError(f"the cluster at {self.master} does not know {path}") from None
            raise FacelogError(f"the cluster at {self.master} answers {error.code} to {path}: {error.reason}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = getattr(error, "reason", error)
            raise FacelogError(f"no Flink job manager answers at {self.master} ({why}); {_ADDRESS}") from None


def _has_slots(tasks: dict[str, int]) -> bool:
    """Whether a task runs or ran on a host; `tasks` holds the number of tasks by state."""
    return any(tasks.get(state, 0) for state in _ON_HOSTS + tuple(state.lower() for state in _ON_HOSTS))


class _NotFoundError(FacelogError):
    """The cluster does not know what was asked for."""


def is_alive(job: JobLease) -> bool:
    """Whether the job of a lease has not ended.

    Raises:
      FacelogError: its cluster does not answer.
    """
    found = FlinkRest(job.master).job(job.job_id)
    return found is not None and not found.is_over
