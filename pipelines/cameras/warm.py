"""Load all that faces are analyzed with before the first frame comes: frames do not wait."""

from typing import Any

import av
import numpy as np

from models.bundle import load_bundle
from models.detectors.choose import make_detector
from models.landmarks import predict_landmarks
from models.runtime import Device
from runners.local.one_thread import init_worker
from schemas.config import Config
from transforms.open_video import freeze_objects
from transforms.picture import Picture


def load_models(config: Config, device: Device) -> list[Any]:
    """The models of a configuration, in their order; the detector and the landmarks have been used once.

    From then on, OpenCV and Arrow use one thread each: frames come one at a time, and others need the cores, too.

    Args:
      config: names them.
      device: where the models run.

    Raises:
      BundleError: one is missing or damaged.
    """
    init_worker()
    bundles = [load_bundle(model.name, device=device) for model in config.models]
    picture = Picture(av.VideoFrame.from_ndarray(np.full((480, 640, 3), 128, np.uint8), format="rgb24"))
    make_detector(config.detection)(picture)
    predict_landmarks(picture.luma, np.array([[200, 100, 100, 100]], np.float32))
    freeze_objects()
    return bundles
