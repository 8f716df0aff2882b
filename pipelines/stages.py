"""The way of the data, as two Beam pipelines.

analyze: files → plans → segments → fragments. Parallel by segment, resumable at each, and done twice it does nothing.
assemble: the fragments of one video → its rows in the four tables, the row in `videos` last of all.
"""

import dataclasses
from collections.abc import Collection

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from models.handlers import AgeGenderHandler, EmotionHandler, alone
from models.runtime import Device
from schemas.storage import FileInfo
from schemas.video import Plan
from transforms.crop_faces import CropFaces
from transforms.decode_frames import DecodeFrames
from transforms.detect_cuts import DetectCuts
from transforms.detect_faces import DetectFaces
from transforms.failures import WriteFailure
from transforms.ledger import Run
from transforms.match_inputs import MatchInputs
from transforms.probe_video import ProbeVideo
from transforms.split_into_segments import SplitIntoSegments
from transforms.track_faces import TrackFaces
from transforms.write_fragment import WriteFragment, is_pending
from transforms.write_plan import FirstOfCopies, WritePlan
from transforms.write_tables import AssembleVideo


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
        if config.emotion:
            emotion = EmotionHandler(config.emotion.name, device=self.device)
            faces = faces | "ForEmotion" >> beam.Map(alone) | "InferEmotion" >> RunInference(emotion)
        if config.age_gender:
            age_gender = AgeGenderHandler(config.age_gender.name, device=self.device)
            faces = faces | "ForAgeGender" >> beam.Map(alone) | "InferAgeGender" >> RunInference(age_gender)
        done = faces | WriteFragment(config, self.run.layout, self.run.run_id)
        return done, failed | WriteFailure(self.run.layout, self.run.run_id)


def analyze_pipeline(
    pipeline: beam.Pipeline, files: list[FileInfo], run: Run, device: Device = "cpu", computed: Collection[str] = ()
) -> None:
    """From files to fragments, but for the contents (by video_id) that are computed already."""
    computed = frozenset(computed)
    (
        pipeline
        | MatchInputs(files)
        | ProbeVideo(run.config)
        | WritePlan(run.layout)
        | FirstOfCopies()
        | "OnlyNew" >> beam.Filter(lambda plan: plan.video_id not in computed)
        | SplitIntoSegments()
        | "OnlyPending" >> beam.Filter(is_pending, run.layout)
        | beam.Reshuffle()
        | AnalyzeSegments(run, device)
    )


def assemble_pipeline(pipeline: beam.Pipeline, plans: list[Plan], run: Run, keep_observations: bool = False) -> None:
    """From fragments to tables."""
    pipeline | "Plans" >> beam.Create(plans) | beam.Reshuffle() | AssembleVideo(run, keep_observations)


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
