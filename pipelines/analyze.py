"""The whole pipeline as a Beam pipeline.

    files → plans → segments → fragments    parallel by segment; a finished segment is not computed again
    fragments of a video → its rows         in the four tables; the row in `videos` is written last

`archive_job` does a whole archive. `WorkerSteps` are the same steps, one task at a time, for the local runner.
`pipelines/runs` runs both.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from models.handlers import EmbeddingHandler, FaceModelHandler, alone
from models.runtime import Device
from schemas.config import Config
from schemas.faces import FaceBatch
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan, Segment
from transforms.crop_faces import CropFaces
from transforms.decode_frames import DecodeFrames
from transforms.detect_cuts import DetectCuts
from transforms.detect_faces import DetectFaces
from transforms.failures import SegmentFailed, WriteFailure
from transforms.job.attempts import BeginProbes, BeginSegments, Counted
from transforms.job.contents import AssembleVideos, CloseArchive, GroupCopies, ListSegments
from transforms.job.files import Job, ListFiles
from transforms.probe_video import ProbeVideo
from transforms.track_faces import TrackFaces
from transforms.write_fragment import SegmentDone, WriteFragment
from transforms.write_plan import WritePlan
from transforms.write_tables import AssembleVideo, FinishSegment, VideoDone


def archive_job(pipeline: beam.Pipeline, job: Job, device: Device = "cpu") -> None:
    """Analyzes a whole archive as one Beam job, from the list of its files to the last row.

    The job needs no client while it runs.

    Args:
      pipeline: to add the steps to.
      job: what `transforms.job.files.write_job` wrote.
      device: where the models run.
    """
    plans = pipeline | ListFiles(job) | ProbeFiles(job)
    contents, uris_without_work = plans | GroupCopies(job)
    ended = contents | ListSegments(job.run.work) | AnalyzeSegments(job, device)
    uris = (contents, ended) | AssembleVideos(job)
    (uris_without_work, uris) | CloseArchive(job)


@dataclasses.dataclass(eq=False)
class ProbeFiles(beam.PTransform):
    """FileInfo → its Plan, once it is durable. Attempts are counted.

    Attributes:
      job: whose files.
    """

    job: Job

    def expand(self, files: beam.PCollection[FileInfo]) -> beam.PCollection[Plan]:
        run = self.job.run
        return files | Counted(BeginProbes(run, self.job.max_attempts), FilesToPlans(run))


@dataclasses.dataclass(eq=False)
class AnalyzeSegments(beam.PTransform):
    """Segment → SegmentDone or SegmentFailed, once it is durable. Attempts are counted.

    Attributes:
      job: whose segments.
      device: where the models run.
    """

    job: Job
    device: Device = "cpu"

    def expand(self, segments: beam.PCollection[Segment]) -> beam.PCollection[SegmentDone | SegmentFailed]:
        run = self.job.run
        return segments | Counted(BeginSegments(run, self.job.max_attempts), SegmentsToFragments(run, self.device))


@dataclasses.dataclass(eq=False)
class FilesToPlans(beam.PTransform):
    """FileInfo → its Plan, once it is durable.

    Attributes:
      run: configuration, layout and name of the run.
    """

    run: Run

    def expand(self, files: beam.PCollection[FileInfo]) -> beam.PCollection[Plan]:
        return files | ProbeVideo(self.run.config) | WritePlan(self.run.work)


@dataclasses.dataclass(eq=False)
class SegmentsToFragments(beam.PTransform):
    """Segment → (SegmentDone, SegmentFailed), each once it is durable. All of it is one fused stage.

    Attributes:
      run: configuration, layout and name of the run.
      device: where the models run.
    """

    run: Run
    device: Device = "cpu"

    def expand(
        self, segments: beam.PCollection[Segment]
    ) -> tuple[beam.PCollection[SegmentDone], beam.PCollection[SegmentFailed]]:
        faces, failed = segments | SegmentsToFaces(self.run.config, self.device)
        done = faces | WriteFragment(self.run.config, self.run.work, self.run.run_id)
        return done, failed | WriteFailure(self.run.work, self.run.run_id)


@dataclasses.dataclass(eq=False)
class SegmentsToFaces(beam.PTransform):
    """Segment → (its FaceBatches with all columns, SegmentFailed).

    Attributes:
      config: the run's configuration.
      device: where the models run.
    """

    config: Config
    device: Device = "cpu"

    def expand(
        self, segments: beam.PCollection[Segment]
    ) -> tuple[beam.PCollection[FaceBatch], beam.PCollection[SegmentFailed]]:
        config = self.config
        faces, failed = (
            segments
            | DecodeFrames(config)
            | DetectCuts(config)
            | DetectFaces(config)
            | TrackFaces(config)
            | CropFaces(config)
        )
        for model in config.models:
            handler = FaceModelHandler(model, device=self.device)
            faces = faces | f"For_{model.task}" >> beam.Map(alone) | f"Infer_{model.task}" >> RunInference(handler)
        if config.identity.persons:
            faces = faces | "For_embedding" >> beam.Map(alone) | "Embed" >> RunInference(EmbeddingHandler(config))
        return faces, failed


@dataclasses.dataclass(eq=False)
class WorkerSteps(beam.PTransform):
    """FileInfo, Segment or Plan → (Plan, SegmentDone, SegmentFailed, VideoDone): the same steps, one task at a time.

    This is what a worker of the local runner does. The type of an element decides which step it takes. There is no
    shuffle in between: the supervisor decides what comes next. A segment that is all of its video, as that of a picture
    or a short clip, goes on to the video's tables at once, without a fragment.

    Attributes:
      run: configuration, layout and name of the run.
      device: where the models run.
      keep_observations: whether fragments move to `observations/`.
    """

    run: Run
    device: Device = "cpu"
    keep_observations: bool = False

    def expand(
        self, tasks: beam.PCollection[FileInfo | Segment | Plan]
    ) -> tuple[
        beam.PCollection[Plan],
        beam.PCollection[SegmentDone | VideoDone],
        beam.PCollection[SegmentFailed],
        beam.PCollection[VideoDone],
    ]:
        kinds = tasks | "ByType" >> beam.ParDo(_ByType()).with_outputs("FileInfo", "Segment", "Plan")
        plans = kinds["FileInfo"] | ProbeVideo(self.run.config)
        faces, failed = kinds["Segment"] | SegmentsToFaces(self.run.config, self.device)
        done = faces | FinishSegment(self.run, self.keep_observations)
        failed |= WriteFailure(self.run.work, self.run.run_id)
        videos = kinds["Plan"] | AssembleVideo(self.run, self.keep_observations)
        return plans, done, failed, videos


class _ByType(beam.DoFn):
    def process(self, element: Any) -> Iterator[Any]:
        kind = "Segment" if isinstance(element, Segment) else type(element).__name__
        yield beam.pvalue.TaggedOutput(kind, element)
