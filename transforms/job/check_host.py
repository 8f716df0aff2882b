"""Check a worker's host before it begins: it must have the client's version and models, and reach input and output.

Each worker process checks its host once for a job. The first host that fails ends the job with a sentence.
"""

import dataclasses
import json
import os
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from models.bundle import bundle_path
from models.cards import read_card
from models.detectors.choose import weights_sha256
from models.embeddings.choose import embedding_sha256
from models.landmarks import landmark_sha256
from schemas import storage
from schemas.config import Config
from schemas.errors import BundleError, FacelogError, HostError, StorageError
from schemas.layout import JobFolder
from schemas.storage import FileInfo
from schemas.tables import code_version


@dataclasses.dataclass(frozen=True)
class HostCheck:
    """What a host must have.

    Attributes:
      folder: of the job, which gets a file of this host.
      code_version: that the client has.
      config: of the run, with its models.
      first: a file that is to be read.
      storage_options: for `schemas.storage.configure`.
    """

    folder: JobFolder
    code_version: str
    config: Config
    first: FileInfo
    storage_options: Mapping[str, str] = dataclasses.field(default_factory=dict)


def check_host(check: HostCheck) -> None:
    """Checks this host once in this process, and writes the answer into the job's folder.

    Raises:
      HostError: it is not fit; the text is one sentence.
    """
    if check.folder not in _asked:
        storage.configure(check.storage_options, patient=True)
        host = socket.gethostname()
        sentence = _what_is_wrong(check, host)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"host": host, "pid": os.getpid(), "at": now, "message": sentence}
        name = check.folder.refused if sentence else check.folder.host(host, os.getpid())
        try:
            storage.write_bytes(name, json.dumps(record).encode())
        except StorageError as error:
            sentence = sentence or f"host {host} cannot write to the output folder: {error}"
        _asked[check.folder] = sentence
    if sentence := _asked[check.folder]:
        raise HostError(sentence)


_LOADED = code_version()
"""What this process has imported, also where another version has been installed since."""

_asked: dict[JobFolder, str | None] = {}
"""By job, what is wrong with this host."""


def refusal(folder: JobFolder) -> str | None:
    """The sentence of a host that is not fit for the job; None if no such host was found."""
    try:
        return str(json.loads(storage.read_bytes(folder.refused))["message"])
    except FileNotFoundError:
        return None


def hosts(folder: JobFolder) -> list[str]:
    """Names of the hosts that work on a job."""
    names = [info.uri.rsplit("/", 1)[-1] for info in storage.list_files(folder.hosts)]
    return sorted({name.rpartition("-")[0] for name in names})


@dataclasses.dataclass(eq=False)
class CheckHosts(beam.PTransform):
    """Passes elements on, unchanged, if the host is fit; otherwise ends the job with a sentence.

    Attributes:
      check: what a host must have.
    """

    check: HostCheck

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        return elements | beam.ParDo(_CheckHost(self.check))


class _CheckHost(beam.DoFn):
    def __init__(self, check: HostCheck):
        self._check = check

    def setup(self) -> None:
        check_host(self._check)

    def process(self, element: Any) -> Iterator[Any]:
        yield element


def _what_is_wrong(check: HostCheck, host: str) -> str | None:
    if check.code_version != _LOADED:
        return (
            f"host {host} has facelog {_LOADED}, this client has {check.code_version}: install the same on all "
            "hosts and start `facelog worker` there again"
        )
    for model in check.config.models:
        try:
            card = read_card(bundle_path(model.name))
        except BundleError as error:
            return f"host {host} has not the model {model.name}: {error}"
        if model.sha256 not in (card.sha256, card.litert and card.litert.sha256):
            return f"host {host} has another model {model.name} than this client: copy the client's bundle there"
    try:
        landmarks = landmark_sha256()
    except BundleError as error:
        return f"host {host} has no landmark file: {error}"
    if landmarks != check.config.landmarks_sha256:
        return f"host {host} has another landmark file than this client: install the same facelog there"
    detector = check.config.detection.detector
    try:
        weights = weights_sha256(check.config.detection)
    except FacelogError as error:
        return f"host {host} cannot use the detector {detector}: {error}"
    if weights != check.config.detector_sha256:
        return f"host {host} has other weights of the detector {detector} than this client: install the same there"
    try:
        embedding = embedding_sha256(check.config)
    except FacelogError as error:
        return f"host {host} cannot tell persons apart: {error}"
    if embedding != check.config.embedding_sha256:
        return f"host {host} has other weights of the embedding than this client: install the same there"
    try:
        with storage.open_input(check.first.uri) as file:
            file.read(1)
    except FileNotFoundError:
        return f"host {host} does not see {check.first.uri}: inputs have to lie where all hosts reach them by one name"
    except FacelogError as error:
        return f"host {host} cannot read an input: {error}"
    return None
