"""The steps of a whole-archive Beam job between files, segments and rows.

A cluster repeats any part of a job after a loss, also parts that were finished and that other parts depend on. So each
step first looks whether this job has done it already, and nothing that a step reads is removed while the job lives.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam

from schemas.layout import Work
from schemas.run import Run, end_run
from schemas.video import Plan, Segment
from transforms.copies import Content, rows_that_follow, rows_without_work
from transforms.failures import SegmentFailed
from transforms.job.files import Job, computed_row, other_config_copies
from transforms.job.shuffle import PackedReshuffle, pack, unpack
from transforms.ledger import HAS_TABLES, Row, close_ledger, read_row, write_row
from transforms.write_fragment import SegmentDone, pending_segments
from transforms.write_tables import assemble_video


@dataclasses.dataclass(eq=False)
class GroupCopies(beam.PTransform):
    """Plan → (Content to compute, uri of a file that has its row without work: it is bad, or its content is known).

    Attributes:
      job: whose plans.
    """

    job: Job

    def expand(self, plans: beam.PCollection[Plan]) -> tuple[beam.PCollection[Content], beam.PCollection[str]]:
        bad = plans | "Bad" >> beam.Filter(lambda plan: not plan.segments)
        of_bad = bad | "WriteRow" >> beam.Map(_write_row, self.job.run)
        by_content = (
            plans
            | "Good" >> beam.Filter(lambda plan: plan.segments)
            | "ByContent" >> beam.Map(lambda plan: (plan.video_id, pack(plan))).with_output_types(tuple[str, bytes])
            | beam.GroupByKey()
        )
        write = beam.ParDo(_WriteKnown(self.job)).with_output_types(Content).with_outputs("uri", main="content")
        written = by_content | "WriteKnown" >> write
        return written["content"], (of_bad, written["uri"]) | beam.Flatten()


def _write_row(plan: Plan, run: Run) -> str:
    """Writes the row of a bad file."""
    row = _row_of_this_run(plan.file.uri, run)
    if row is None or row["status"] not in HAS_TABLES:  # else the file went away after this job had computed it
        for row in rows_without_work([plan], None, run):
            write_row(row, run)
    return plan.file.uri


class _WriteKnown(beam.DoFn):
    """Passes on contents to compute; files with a known content get their rows."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, group: tuple[str, Iterable[bytes]]) -> Iterator[Any]:
        content = Content.of(map(unpack, group[1]))
        rows = rows_without_work(content.plans, computed_row(content.video_id, self._job), self._job.run)
        for row in rows:
            write_row(row, self._job.run)
            yield beam.pvalue.TaggedOutput("uri", row["uri"])
        if not rows:
            yield content


def _row_of_this_run(uri: str, run: Run, video_id: str | None = None) -> Row | None:
    """The row of a uri if this run wrote it, and wrote it about this content."""
    try:
        row = read_row(uri, run)
    except FileNotFoundError:
        return None
    return row if row["run_id"] == run.run_id and video_id in (None, row["video_id"]) else None


@dataclasses.dataclass(eq=False)
class ListSegments(beam.PTransform):
    """Content → its Segments that have no fragment yet, distributed over all workers.

    Attributes:
      work: names of unfinished work.
    """

    work: Work

    def expand(self, contents: beam.PCollection[Content]) -> beam.PCollection[Segment]:
        pending = beam.FlatMap(lambda content, work: pending_segments(content.first, work), self.work)
        return contents | "Pending" >> pending.with_output_types(Segment) | PackedReshuffle()


@dataclasses.dataclass(eq=False)
class AssembleVideos(beam.PTransform):
    """(Content, SegmentDone or SegmentFailed) → uri of each file that has its row, once all segments have ended.

    Attributes:
      job: whose contents.
    """

    job: Job

    def expand(
        self,
        collections: tuple[beam.PCollection[Content], beam.PCollection[SegmentDone | SegmentFailed]],
    ) -> beam.PCollection[str]:
        contents, ended = collections
        by_id = contents | "ById" >> beam.Map(lambda content: (content.video_id, pack(content)))
        # It only matters that they ended; what became of them is in DIR.
        counts = ended | "IdOf" >> beam.Map(lambda end: (end.segment.video_id, 1))
        counts |= "OnceEach" >> beam.CombinePerKey(sum)
        grouped = {"content": by_id, "ended": counts} | beam.CoGroupByKey()
        return grouped | "Assemble" >> beam.FlatMap(_assemble, self.job)


def _assemble(group: tuple[str, Mapping[str, Iterable[Any]]], job: Job) -> Iterator[str]:
    run = job.run
    for content in map(unpack, group[1]["content"]):
        row = _row_of_this_run(content.first.file.uri, run, content.video_id)
        if row is None:
            row = assemble_video(content.first, run, keep_observations=job.keep_observations).row
        for copy in rows_that_follow(row, content.copies, other_config_copies(content.video_id, job), run):
            write_row(copy, run)
        yield from (plan.file.uri for plan in content.plans)


@dataclasses.dataclass(eq=False)
class CloseArchive(beam.PTransform):
    """Uris of rows → their number. When all rows are written, it removes leftovers and notes that the run has finished.

    Attributes:
      job: whose rows.
    """

    job: Job

    def expand(self, uris: tuple[beam.PCollection[str], ...]) -> beam.PCollection[int]:
        counted = uris | beam.Flatten() | "One" >> beam.Map(lambda _: (None, 1)) | beam.CombinePerKey(sum)
        return counted | "Close" >> beam.Map(_close, self.job)


def _close(counted: tuple[None, int], job: Job) -> int:
    close_ledger(job.run)
    end_run(job.run.run_id, job.run.layout.out)
    return counted[1]
