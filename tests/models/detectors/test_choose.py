"""The configuration names the detector and says what it passes on."""

import pytest

from models.detectors.choose import make_detector
from schemas.config import Config
from schemas.errors import UsageError
from tests.models.detectors.heads import tilted_head


def test_an_unknown_detector():
    with pytest.raises(UsageError, match="no detector called 'cnn'; known: hog"):
        make_detector(Config().override(detector="cnn").detection)


def test_weak_detections_reach_the_tracker():
    luma = tilted_head()
    config = Config().override(min_face=80, threshold=0.0, keep_threshold=-1.0)
    assert make_detector(config.detection)(luma).score.min() < 0
