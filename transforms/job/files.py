"""Files of a whole-archive Beam job: the client writes them, the job reads them where it runs.

They hold the list of files to analyze, and what earlier runs say about contents. A million files would not fit into the
graph of the job, and with these files the job does not need its client any more.
"""

import dataclasses
import functools
from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from schemas import storage
from schemas.layout import JobFolder
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.tables import VIDEOS, make_table, parquet_bytes
from transforms.copies import EarlierResults
from transforms.job.check_host import CheckHosts, HostCheck
from transforms.job.shuffle import PackedReshuffle
from transforms.ledger import Row, read_row

_FILES_A_LIST = 1000
_files = pydantic.TypeAdapter(list[FileInfo])


@dataclasses.dataclass(frozen=True)
class Job:
    """One run over an archive as a single Beam job.

    Attributes:
      run: configuration, layout and name of the run.
      lists: number of lists of files.
      keep_observations: whether fragments move to `observations/`.
      max_attempts: how often the job may begin a file or segment; see `transforms.job.attempts`.
      host_check: what each worker's host is asked before it begins; None: nothing.
    """

    run: Run
    lists: int
    keep_observations: bool = False
    max_attempts: int | None = None
    host_check: HostCheck | None = None

    @property
    def folder(self) -> JobFolder:
        """Names of the job's files."""
        return self.run.layout.job(self.run.run_id)


class _Earlier(pydantic.BaseModel):
    """`EarlierResults` as a file, with uris in place of rows.

    Attributes:
      computed: by video_id, the uri of a row.
      other_config_copies: see `EarlierResults`.
    """

    computed: dict[str, str]
    other_config_copies: dict[str, list[FileInfo]]


def write_job(
    run: Run,
    files: Sequence[FileInfo],
    earlier: EarlierResults,
    *,
    keep_observations: bool = False,
    max_attempts: int | None = None,
    host_check: HostCheck | None = None,
) -> Job:
    """Writes the files that a job reads.

    Args:
      run: configuration, layout and name of the run.
      files: to analyze.
      earlier: what earlier runs left.
      keep_observations: see `Job`.
      max_attempts: see `Job`.
      host_check: see `Job`.
    """
    folder = run.layout.job(run.run_id)
    lists = -(-len(files) // _FILES_A_LIST)
    for number in range(lists):
        part = list(files[number * _FILES_A_LIST : (number + 1) * _FILES_A_LIST])
        storage.write_bytes(folder.files(number), _files.dump_json(part))
    computed = {video_id: row["uri"] for video_id, row in earlier.computed.items()}
    record = _Earlier(computed=computed, other_config_copies=dict(earlier.other_config_copies))
    storage.write_bytes(folder.earlier, record.model_dump_json().encode())
    # The job may replace these rows before it needs them; all others it reads from DIR.
    uris = {file.uri for file in files}
    rows = [row for row in earlier.computed.values() if row["uri"] in uris]
    table = make_table(VIDEOS, {name: [row.get(name) for row in rows] for name in VIDEOS.names})
    storage.write_bytes(folder.earlier_rows, parquet_bytes(table, run.footer))
    return Job(run, lists, keep_observations, max_attempts, host_check)


def computed_row(video_id: str, job: Job) -> Row | None:
    """The row of an earlier run that has computed a content; None if none has."""
    earlier, rows = _read_earlier(job.folder)
    uri = earlier.computed.get(video_id)
    if uri is None:
        return None
    return rows.get(uri) or read_row(uri, job.run)


def other_config_copies(video_id: str, job: Job) -> list[FileInfo]:
    """Copies of a content that earlier runs computed with another configuration; see `EarlierResults`."""
    return _read_earlier(job.folder)[0].other_config_copies.get(video_id, [])


@functools.lru_cache(maxsize=1)
def _read_earlier(folder: JobFolder) -> tuple[_Earlier, dict[str, Row]]:
    record = _Earlier.model_validate_json(storage.read_bytes(folder.earlier))
    table = pq.read_table(pa.BufferReader(storage.read_bytes(folder.earlier_rows)))
    return record, {row["uri"]: row for row in table.to_pylist()}


@dataclasses.dataclass(eq=False)
class ListFiles(beam.PTransform):
    """The files that the client listed, distributed over all workers.

    Attributes:
      job: whose files.
    """

    job: Job

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[FileInfo]:
        lists = pipeline | "Lists" >> beam.Create(range(self.job.lists)) | "Spread" >> beam.Reshuffle()
        if self.job.host_check:
            lists |= CheckHosts(self.job.host_check)
        return lists | "Read" >> beam.FlatMap(_read_list, self.job.folder) | PackedReshuffle()


def _read_list(number: int, folder: JobFolder) -> list[FileInfo]:
    return _files.validate_json(storage.read_bytes(folder.files(number)))
