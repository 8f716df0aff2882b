"""What it changes that the mirror image of a face is left out where its emotion is clear without it.

usage: python -m benchmarks.mirror FER2013 [VIDEO...]

Faces are those of FER2013's PublicTest behind the pipeline's own detector and crop, judged by the majority of FER+
where there is one, and those of the videos, which have no labels. Each is looked at as it is and in the mirror.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.bundle import bundle_path, load_bundle
from models.cards import read_card
from models.conversion import CONVERTED
from models.on_litert import litert_network
from models.outputs import attributes, is_clear
from pipelines.datasets.evaluate import pipeline_crops
from pipelines.settings import make_config
from schemas import storage
from schemas.tables import EMOTIONS
from training.datasets import read_dataset
from training.judging.evaluate import true_emotion
from training.judging.metrics import calibration_error
from transforms.crop_faces import crop_faces
from transforms.decode_frames import decode_segment
from transforms.follow_faces import follow_faces
from transforms.probe_video import probe_video
from transforms.samples import SegmentStream


def faces_of_pictures(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Chips [n, s, s] uint8 of the faces found in PublicTest that have a majority, and its index in EMOTIONS [n]."""
    chips, true = [], []
    samples = read_dataset(path).samples(Counter(), "validation")
    for crop, _ in pipeline_crops(samples, load_bundle("emotion")):
        emotion = true_emotion(crop.sample, "ferplus")
        if crop.chip is not None and emotion is not None:
            chips.append(crop.chip)
            true.append(EMOTIONS.index(emotion))
    return np.stack(chips), np.array(true)


def faces_of_video(path: str) -> Iterator[np.ndarray]:
    """Chips [n, s, s] uint8 of the faces of all samples, segment by segment."""
    config = make_config()
    for segment in probe_video(storage.stat(storage.normalize(path)), config).segments:
        stream = decode_segment(segment, config)
        samples = follow_faces(stream.samples, config)
        for faces in crop_faces(SegmentStream(segment, samples, stream.stats), config):
            if len(faces):
                yield faces.chips["emotion"]


def compare(name: str, chips: np.ndarray, true: np.ndarray | None = None) -> None:
    """Prints how often the mirror image is left out, and what that changes."""
    folder = bundle_path("emotion")
    card, network = read_card(folder), litert_network(folder / CONVERTED)
    scaled = chips[..., None].astype(np.float32) * np.float32(card.scale) + np.float32(card.offset)
    plain, mirrored = network(scaled), network(scaled[:, :, ::-1])
    clear = is_clear(plain, card)
    both = {of: (values + mirrored[of]) / 2 for of, values in plain.items()}
    as_it_is = {of: np.where(clear[:, None], values, both[of]) for of, values in plain.items()}
    always = attributes(both, card)["emotion"]
    print(f"{name}: {len(chips)} faces, mirror image left out of {clear.mean():.1%}")
    for kind, raw in (("always mirrored", both), ("as it is", as_it_is), ("never mirrored", plain)):
        said = attributes(raw, card)["emotion"]
        first = said.argmax(axis=1)
        text = f"same emotion {(first == always.argmax(axis=1)).mean():.2%}, "
        text += f"probabilities changed by {np.abs(said - always).mean():.4f}"
        if true is not None:
            right = first == true
            recall = np.mean([right[true == emotion].mean() for emotion in np.unique(true)])
            error = calibration_error(said.max(axis=1), right)
            text += f", accuracy {right.mean():.4f}, mean recall {recall:.4f}, calibration error {error:.4f}"
        print(f"  {kind}: {text}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("videos", nargs="*")
    choice = parser.parse_args()
    compare("pictures", *faces_of_pictures(choice.data))
    found = {path: list(faces_of_video(path)) for path in choice.videos}
    for path, parts in found.items():
        if parts:
            compare(Path(path).name, np.concatenate(parts))
    if len(found) > 1:
        compare("all videos", np.concatenate([part for parts in found.values() for part in parts]))


if __name__ == "__main__":
    main()
