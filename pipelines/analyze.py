"""The whole pipeline, as a Beam pipeline.

files → plans → segments → fragments: parallel by segment, resumable at each; repeating a finished segment does nothing.
fragments of one video → its rows in the four tables; the row in `videos` is written last.

`runs/` runs it: `runs/analyze_archive.py` is what Python users and the command line call.
"""

import dataclasses

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from models.handlers import FaceModelHandler, alone
from models.runtime import Device
from schemas.run import Run
from transforms.crop_faces import CropFaces
from transforms.decode_frames import DecodeFrames
from transforms.detect_cuts import DetectCuts
from transforms.detect_faces import DetectFaces
from transforms.failures import WriteFailure
from transforms.job.attempts import BeginProbes, BeginSegments, Counted
from transforms.job.contents import AssembleContents, CloseJob, GroupContents, Job, ReadFiles, pending_of
from transforms.job.shuffle import Deal
from transforms.probe_video import ProbeVideo
from transforms.track_faces import TrackFaces
from transforms.write_fragment import WriteFragment
from transforms.write_plan import WritePlan
from transforms.write_tables import AssembleVideo


@dataclasses.dataclass(eq=False)
class ProbeFiles(beam.PTransform):
    """FileInfo → its Plan, once it is durable.

    Attributes:
      run: configuration, layout and name of the run.
    """

    run: Run

    def expand(self, files):
        return files | ProbeVideo(self.run.config) | WritePlan(self.run.work)


@dataclasses.dataclass(eq=False)
class AnalyzeSegments(beam.PTransform):
    """Segment → (SegmentDone, SegmentFailed), each once it is durable. All of it is one fused stage.

    Attributes:
      run: configuration, layout and name of the run.
      device: where the models run.
    """

    run: Run
    device: Device = "cpu"

    def expand(self, segments):
        config = self.run.config
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
        done = faces | WriteFragment(config, self.run.work, self.run.run_id)
        return done, failed | WriteFailure(self.run.work, self.run.run_id)


def archive_job(pipeline: beam.Pipeline, job: Job, device: Device = "cpu") -> None:
    """A whole archive as one Beam job, from the list of its files to the last row; it needs nobody while it runs."""
    run = job.run
    plans = pipeline | ReadFiles(job) | Counted(BeginProbes(run, job.max_attempts), ProbeFiles(run))
    contents, known = plans | GroupContents(job)
    segments = contents | "Pending" >> beam.FlatMap(pending_of, run.work) | Deal()
    ended = segments | Counted(BeginSegments(run, job.max_attempts), AnalyzeSegments(run, device))
    assembled = (contents, ended) | AssembleContents(job)
    (known, assembled) | CloseJob(job)


@dataclasses.dataclass(eq=False)
class WorkerSteps(beam.PTransform):
    """FileInfo, Segment or Plan → Plan, (SegmentDone or SegmentFailed), VideoDone: the same steps, one task at a time.

    What a worker of the local runner does. Which step an element takes follows from its type, and nothing is shuffled
    in between: the supervisor decides what comes next.

    Attributes:
      run: configuration, layout and name of the run.
      device: where the models run.
      keep_observations: whether fragments move to `observations/`.
    """

    run: Run
    device: Device = "cpu"
    keep_observations: bool = False

    def expand(self, tasks):
        kinds = tasks | "ByType" >> beam.ParDo(_ByType()).with_outputs("FileInfo", "Segment", "Plan")
        plans = kinds["FileInfo"] | ProbeVideo(self.run.config)
        done, failed = kinds["Segment"] | AnalyzeSegments(self.run, self.device)
        videos = kinds["Plan"] | AssembleVideo(self.run, self.keep_observations)
        return plans, done, failed, videos


class _ByType(beam.DoFn):
    def process(self, element):
        yield beam.pvalue.TaggedOutput(type(element).__name__, element)
