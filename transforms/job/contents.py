"""What one Beam job needs that does a whole archive and is left alone with it: its client may go.

The client writes down which files are to be done and what is known of them; the job reads that where it runs, so that
a million files do not travel in its graph. At the end the job tidies up as the client would.

A cluster begins any part of a job anew when it has lost something, also parts that were through, and after they were.
So each step looks whether this job has done it already, and nothing that a step reads is removed while the job lives.
"""

import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from schemas import storage
from schemas.layout import JobFolder, Work
from schemas.run import Run, end_run
from schemas.storage import FileInfo
from schemas.tables import VIDEOS, make_table, parquet_bytes
from schemas.video import Plan
from transforms.job.check_host import CheckHosts, HostCheck
from transforms.job.shuffle import Deal, pack, unpack
from transforms.ledger import HAS_TABLES, Row, close_ledger, copied_row, new_row, read_row, write_row
from transforms.write_fragment import pending_segments
from transforms.write_tables import assemble_video

_FILES_A_LIST = 1000
_files = pydantic.TypeAdapter(list[FileInfo])


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of an archive as a single Beam job.

    Attributes:
      run: configuration, layout and name of the run.
      lists: how many lists of files there are.
      keep_observations: whether fragments move to `observations/`.
      max_attempts: see `transforms.job.attempts`.
      host_check: what workers' hosts are asked before they begin; None: nothing.
    """

    run: Run
    lists: int
    keep_observations: bool = False
    max_attempts: int | None = None
    host_check: HostCheck | None = None

    @property
    def folder(self) -> JobFolder:
        """The job's own files."""
        return self.run.layout.job(self.run.run_id)


@dataclasses.dataclass(frozen=True)
class Known:
    """What earlier runs say of contents.

    Attributes:
      computed: by video_id, the uri of a row with this configuration whose tables are in place.
      twins: by video_id, uris of rows with another configuration that this run was not asked for: once the content is
        done anew, their tables are these.
      rows: by uri, those of `computed` that the job may replace, since their files are to be done.
    """

    computed: Mapping[str, str]
    twins: Mapping[str, Sequence[str]]
    rows: Mapping[str, Row] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Content:
    """Files of a run that hold the same bytes.

    Attributes:
      plans: by uri; the first is the one that is computed, the others are its copies.
    """

    plans: tuple[Plan, ...]


def write_job(job: Job, files: Sequence[FileInfo], known: Known) -> None:
    """What `ReadFiles` and `GroupContents` read; `job.lists` has to be `lists_of(files)`."""
    for number in range(job.lists):
        part = list(files[number * _FILES_A_LIST : (number + 1) * _FILES_A_LIST])
        storage.write_bytes(job.folder.files(number), _files.dump_json(part))
    record = {"computed": dict(known.computed), "twins": {key: list(uris) for key, uris in known.twins.items()}}
    storage.write_bytes(job.folder.known, json.dumps(record).encode())
    columns = {name: [row.get(name) for row in known.rows.values()] for name in VIDEOS.names}
    rows = parquet_bytes(make_table(VIDEOS, columns), job.run.footer)
    storage.write_bytes(job.folder.known_rows, rows)


def lists_of(files: Sequence[FileInfo]) -> int:
    """How many lists hold them."""
    return -(-len(files) // _FILES_A_LIST)


@functools.lru_cache(maxsize=1)
def _read_known(folder: JobFolder) -> Known:
    record = json.loads(storage.read_bytes(folder.known))
    table = pq.read_table(pa.BufferReader(storage.read_bytes(folder.known_rows)))
    return Known(**record, rows={row["uri"]: row for row in table.to_pylist()})


@dataclasses.dataclass(eq=False)
class ReadFiles(beam.PTransform):
    """The FileInfo that the client wrote down, spread over all workers.

    Attributes:
      job: theirs.
    """

    job: Job

    def expand(self, pipeline):
        read = beam.FlatMap(_read_list, self.job.folder).with_output_types(FileInfo)
        lists = pipeline | "Lists" >> beam.Create(range(self.job.lists)) | "Spread" >> beam.Reshuffle()
        if self.job.host_check:
            lists |= CheckHosts(self.job.host_check)
        return lists | "Read" >> read | Deal()


def _read_list(number: int, folder: JobFolder) -> list[FileInfo]:
    return _files.validate_json(storage.read_bytes(folder.files(number)))


@dataclasses.dataclass(eq=False)
class GroupContents(beam.PTransform):
    """Plan → (Content to be done, uri of a file whose row stands without work: it is bad, or its content is known).

    Attributes:
      job: theirs.
    """

    job: Job

    def expand(self, plans):
        without = plans | "Without" >> beam.Filter(lambda plan: not plan.segments)
        written = without | "Write" >> beam.Map(_write_row, self.job.run)
        by_content = (
            plans
            | "With" >> beam.Filter(lambda plan: plan.segments)
            | "ByContent" >> beam.Map(lambda plan: (plan.video_id, pack(plan))).with_output_types(tuple[str, bytes])
            | beam.GroupByKey()
        )
        settle = beam.ParDo(_Settle(self.job)).with_output_types(Content).with_outputs("uri", main="content")
        settled = by_content | "Settle" >> settle
        return settled["content"], (written, settled["uri"]) | beam.Flatten()


def _write_row(plan: Plan, run: Run) -> str:
    row = _of_this_run(plan.file.uri, run)
    if row is not None and row["status"] in HAS_TABLES:  # the job began anew, and the file went away since
        return plan.file.uri
    write_row(new_row(plan, run, started_at=datetime.now(UTC)), run)
    return plan.file.uri


class _Settle(beam.DoFn):
    """Contents to be done; files with a known content get their rows."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, group):
        video_id, run = group[0], self._job.run
        plans = sorted(map(unpack, group[1]), key=lambda plan: plan.file.uri)
        known = _read_known(self._job.folder)
        computed = known.computed.get(video_id)
        if computed is not None:
            row = known.rows.get(computed) or read_row(computed, run)
            for plan in plans:
                write_row(copied_row(row, plan.file, run), run)
                yield beam.pvalue.TaggedOutput("uri", plan.file.uri)
            return
        yield Content(tuple(plans))


def _of_this_run(uri: str, run: Run, video_id: str | None = None) -> Row | None:
    """A uri's row, if this run wrote it, of this content."""
    try:
        row = read_row(uri, run)
    except FileNotFoundError:
        return None
    return row if row["run_id"] == run.run_id and video_id in (None, row["video_id"]) else None


def pending_of(content: Content, work: Work) -> list[Any]:
    """Segments of a content that are still to be done."""
    return pending_segments(content.plans[0], work)


@dataclasses.dataclass(eq=False)
class AssembleContents(beam.PTransform):
    """(Content, SegmentDone or SegmentFailed) → uri of each row that stands now, once all segments are through.

    Attributes:
      job: theirs.
    """

    job: Job

    def expand(self, pcolls):
        contents, ended = pcolls
        by_id = contents | "ById" >> beam.Map(lambda content: (content.plans[0].video_id, pack(content)))
        # Only that they ended counts; what became of them lies in DIR.
        through = ended | "IdOf" >> beam.Map(lambda end: (end.segment.video_id, 1))
        through |= "OnceEach" >> beam.CombinePerKey(sum)
        grouped = {"content": by_id, "through": through} | beam.CoGroupByKey()
        return grouped | "Assemble" >> beam.FlatMap(_assemble, self.job)


def _assemble(group: tuple[str, Mapping[str, Iterable[Any]]], job: Job) -> Iterator[str]:
    run = job.run
    for content in map(unpack, group[1]["content"]):
        first, *copies = content.plans
        row = _of_this_run(first.file.uri, run, group[0])
        if row is None:
            row = assemble_video(first, run, keep_observations=job.keep_observations).row
        files = [plan.file for plan in copies]
        if row["status"] in HAS_TABLES:
            for uri in _read_known(job.folder).twins.get(group[0], ()):
                twin = read_row(uri, run)
                files.append(FileInfo(uri, twin["size_bytes"], twin["modified_at"], twin["etag"]))
        for file in files:
            write_row(copied_row(row, file, run), run)
        yield from [first.file.uri, *(plan.file.uri for plan in copies)]


@dataclasses.dataclass(eq=False)
class CloseJob(beam.PTransform):
    """Uris of rows → how many there are; when all stand, what no row names is removed, and the run noted as finished.

    Attributes:
      job: theirs.
    """

    job: Job

    def expand(self, uris):
        counted = uris | beam.Flatten() | "One" >> beam.Map(lambda _: (None, 1)) | beam.CombinePerKey(sum)
        return counted | "Close" >> beam.Map(_close, self.job)


def _close(counted: tuple[None, int], job: Job) -> int:
    close_ledger(job.run)
    end_run(job.run.run_id, job.run.layout.out)
    return counted[1]
