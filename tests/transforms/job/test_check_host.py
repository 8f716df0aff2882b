"""Each worker process checks once whether its host is fit for the job; a host that is not ends the job."""

import dataclasses
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from models.detectors.choose import weights_sha256
from models.landmarks import landmark_sha256
from schemas import storage
from schemas.config import Config, Detection, ModelRef
from schemas.errors import BundleError, FacelogError, HostError, StorageError
from schemas.layout import JobFolder
from schemas.tables import code_version
from tests.bundles import age_gender_bundle, colour_tells
from transforms.job import check_host as module
from transforms.job.check_host import CheckHosts, HostCheck, check_host, hosts, refusal

HERE = socket.gethostname()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Mapping[str, str], bool]]:
    """How object stores were said to be reached, instead of saying so for all tests that follow."""
    calls: list[tuple[Mapping[str, str], bool]] = []
    monkeypatch.setattr(storage, "configure", lambda options, *, patient=False: calls.append((options, patient)))
    monkeypatch.setattr(module, "_asked", {})
    return calls


@pytest.fixture
def check(tmp_path: Path, configured: list[Any]) -> HostCheck:
    """One that this host passes."""
    video = tmp_path / "a.mp4"
    video.write_bytes(b"some bytes")
    age_gender_bundle(tmp_path / "bundle", colour_tells)
    model = ModelRef(str(tmp_path / "bundle"), ("age", "gender"), "0" * 64)
    detector = weights_sha256(Detection())
    config = Config(models=(model,), landmarks_sha256=landmark_sha256(), detector_sha256=detector)
    return HostCheck(
        JobFolder(str(tmp_path / "job")), code_version(), config, storage.stat(str(video)), {"region": "eu-west-1"}
    )


def with_model(check: HostCheck, **changes: Any) -> HostCheck:
    (model,) = check.config.models
    config = dataclasses.replace(check.config, models=(dataclasses.replace(model, **changes),))
    return dataclasses.replace(check, config=config)


def test_a_host_that_is_fit_writes_its_name(check: HostCheck, configured: list[Any]) -> None:
    assert hosts(check.folder) == [] and refusal(check.folder) is None
    check_host(check)
    assert hosts(check.folder) == [HERE] and refusal(check.folder) is None
    record = json.loads(storage.read_bytes(check.folder.host(HERE, os.getpid())))
    assert (record["host"], record["pid"], record["message"]) == (HERE, os.getpid(), None)
    assert configured == [({"region": "eu-west-1"}, True)]


def test_each_host_is_named_once_whatever_its_name(check: HostCheck) -> None:
    for host, pid in (("b-2", 17), ("b-2", 18), ("a.example.org", 17)):
        storage.write_bytes(check.folder.host(host, pid), b"{}")
    assert hosts(check.folder) == ["a.example.org", "b-2"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda check: dataclasses.replace(check, code_version="0.0.1"), "this client has 0.0.1: install the same on"),
        (lambda check: with_model(check, sha256="1" * 64), "has another model .*bundle than this client: copy the"),
        (lambda check: with_model(check, name="/nowhere"), "has not the model /nowhere: "),
        (
            lambda check: dataclasses.replace(check, config=dataclasses.replace(check.config, landmarks_sha256="1")),
            "has another landmark file than this client",
        ),
        (
            lambda check: dataclasses.replace(check, first=dataclasses.replace(check.first, uri="/nowhere/a.mp4")),
            "does not see /nowhere/a.mp4: inputs have to lie where all hosts reach them by one name",
        ),
        (
            lambda check: dataclasses.replace(check, first=dataclasses.replace(check.first, uri=os.path.dirname("/x"))),
            "cannot read an input: ",
        ),
    ],
    ids=["version", "model", "no model", "landmarks", "input", "no file"],
)
def test_a_host_that_is_not_fit_says_why(check: HostCheck, change: Any, sentence: str) -> None:
    unfit = change(check)
    with pytest.raises(HostError, match=f"^host {HERE} .*{sentence}") as caught:
        check_host(unfit)
    assert refusal(check.folder) == str(caught.value)
    assert hosts(check.folder) == []


def test_a_host_without_a_landmark_file(check: HostCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise BundleError("The landmark file is missing.")

    monkeypatch.setattr(module, "landmark_sha256", missing)
    with pytest.raises(HostError, match=f"host {HERE} .*landmark file"):
        check_host(check)
    assert refusal(check.folder) is not None


def test_a_host_that_cannot_write(check: HostCheck, tmp_path: Path) -> None:
    Path(check.folder.folder).write_text("a file is in the way")
    with pytest.raises(HostError, match=f"host {HERE} cannot write to the output folder: .*Not a directory"):
        check_host(check)


def test_what_is_wrong_besides_is_said_though_it_cannot_be_written(
    check: HostCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_bytes(*_: Any) -> None:
        raise StorageError("full")

    monkeypatch.setattr(storage, "write_bytes", write_bytes)
    with pytest.raises(HostError, match="this client has 0"):
        check_host(dataclasses.replace(check, code_version="0"))


def test_a_process_is_asked_once_for_a_job(check: HostCheck, configured: list[Any], tmp_path: Path) -> None:
    for _ in range(3):
        check_host(check)
    other = dataclasses.replace(check, folder=JobFolder(str(tmp_path / "other")), code_version="0")
    for _ in range(3):
        with pytest.raises(HostError, match="this client has 0"):
            check_host(other)
    assert len(configured) == 2
    assert refusal(check.folder) is None and refusal(other.folder) is not None


def test_elements_pass_a_host_that_is_fit(check: HostCheck) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | beam.Create([1, 2]) | CheckHosts(check), equal_to([1, 2]))
    assert hosts(check.folder) == [HERE]


def test_a_host_that_is_not_fit_ends_the_job(check: HostCheck) -> None:
    with (
        pytest.raises(FacelogError, match=f"host {HERE} .* this client has 0"),
        beam.Pipeline(runner=FnApiRunner()) as p,
    ):
        _ = p | beam.Create([1, 2]) | CheckHosts(dataclasses.replace(check, code_version="0"))
    assert "this client has 0" in (refusal(check.folder) or "")
