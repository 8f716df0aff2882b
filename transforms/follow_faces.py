"""Follow the faces in any stream of samples: cuts, then detections, then tracks."""

from collections.abc import Iterable, Iterator

from models.detectors.choose import make_detector
from schemas.config import Config
from schemas.step_times import StepTimes
from transforms.detect_cuts import detect_cuts
from transforms.detect_faces import detect_faces
from transforms.samples import Sample
from transforms.track_faces import TrackerSettings, track_faces


def follow_faces(samples: Iterable[Sample], config: Config, times: StepTimes | None = None) -> Iterator[Sample]:
    """Gives each sample its faces, each with its track, as the pipeline does step by step.

    Args:
      samples: of one segment, in order of time; a cut that is marked already stays one.
      config: how faces are found and followed.
      times: gets the seconds of the three steps.
    """
    times, detector = times or StepTimes(), make_detector(config.detection)
    samples = times.each("cuts", detect_cuts(samples, threshold=config.detection.cut_threshold))
    found = detect_faces(samples, detector, every=detector.detect_every)
    samples = times.each("detect", found)
    return times.each("track", track_faces(samples, TrackerSettings.of(config)))
