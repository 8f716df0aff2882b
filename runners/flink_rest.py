"""What Flink's job manager says over its REST API.

Source: https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api/
"""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from typing import Any

from runners.lease import JobLease
from schemas.errors import FacelogError

_TIMEOUT = 5.0
_OVER = ("FINISHED", "CANCELED", "FAILED")


@dataclasses.dataclass(frozen=True)
class Job:
    """A job as the cluster sees it.

    Attributes:
      job_id: the cluster's name for it.
      name: ours.
      state: such as RUNNING, RESTARTING, FINISHED, CANCELED, FAILED.
      begun_at: seconds since 1970.
    """

    job_id: str
    name: str
    state: str
    begun_at: float

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in _OVER


@dataclasses.dataclass(frozen=True)
class Overview:
    """What a cluster has.

    Attributes:
      version: of Flink, such as "1.19.3".
      task_managers: that are there.
      slots: of all of them.
      free_slots: that no job has.
    """

    version: str
    task_managers: int
    slots: int
    free_slots: int


class FlinkRest:
    """A cluster by its address.

    Attributes:
      master: HOST:PORT or URL of the job manager's REST API.
    """

    def __init__(self, master: str):
        """Asks nothing yet."""
        self.master = master
        self._url = (master if "://" in master else f"http://{master}").rstrip("/")

    def overview(self) -> Overview:
        """What the cluster has.

        Raises:
          FacelogError: it does not answer, or what answers is no Flink; so for all methods.
        """
        found = self._get("/overview")
        return Overview(found["flink-version"], found["taskmanagers"], found["slots-total"], found["slots-available"])

    def settings(self) -> dict[str, str]:
        """The job manager's configuration, as far as it was set."""
        return {entry["key"]: entry["value"] for entry in self._get("/jobmanager/config")}

    def find(self, name: str) -> Job | None:
        """The job of a name; None as long as there is none."""
        for job in self._get("/jobs/overview")["jobs"]:
            if job["name"] == name:
                return Job(job["jid"], name, job["state"], job["start-time"] / 1000)
        return None

    def job(self, job_id: str) -> Job | None:
        """A job by the cluster's name for it; None if the cluster does not know it (any more)."""
        try:
            found = self._get(f"/jobs/{job_id}")
        except _NotFoundError:
            return None
        return Job(job_id, found["name"], found["state"], found["start-time"] / 1000)

    def exceptions(self, job_id: str) -> list[str]:
        """Stack traces of what went wrong in a job so far, the newest first."""
        found = self._get(f"/jobs/{job_id}/exceptions")
        history = found.get("exceptionHistory", {}).get("entries", [])
        texts = [found.get("root-exception") or "", *(entry.get("stacktrace") or "" for entry in history)]
        return [text for text in dict.fromkeys(texts) if text]

    def cancel(self, job_id: str) -> None:
        """Ask it to cancel a job; that takes a moment."""
        self._request("PATCH", f"/jobs/{job_id}?mode=cancel")

    def _get(self, path: str) -> Any:
        text = self._request("GET", path)
        try:
            return json.loads(text)
        except ValueError:
            raise FacelogError(f"what answers at {self.master} is no Flink job manager") from None

    def _request(self, method: str, path: str) -> bytes:
        try:
            request = urllib.request.Request(self._url + path, method=method)
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise _NotFoundError(f"the cluster at {self.master} does not know {path}") from None
            raise FacelogError(f"the cluster at {self.master} answers {error.code} to {path}: {error.reason}") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise FacelogError(
                f"no Flink job manager answers at {self.master} ({why}); its address is that of its web page, "
                "HOST:8081 as a rule"
            ) from None


class _NotFoundError(FacelogError):
    """The cluster has nothing of that name."""


def is_alive(job: JobLease) -> bool:
    """Whether a job is neither done nor given up.

    Raises:
      FacelogError: its cluster does not answer.
    """
    found = FlinkRest(job.master).job(job.job_id)
    return found is not None and not found.is_over
