"""MOTChallenge text files: `data/NAME.txt` and `NAME/seqinfo.ini` for each video.

A line is frame, id, left, top, width, height, confidence, -1, -1, -1. Frames count from 1, as the format wants; ids are
the `track_id` of the tables, so from 0; boxes are pixels counted from 0. Confidence is dlib's margin, -1 where the
tracker alone saw the face. The format: Leal-Taixé et al., MOTChallenge 2015, arXiv:1504.01942.
"""

import csv
import io
from collections.abc import Iterator

import numpy as np

from pipelines.exports.videos import NothingToExportError, Video
from schemas import storage
from schemas.faces import NO_STAMP

_UNKNOWN = -1


def export_mot(video: Video, folder: str) -> Iterator[str]:
    """Writes one video, and yields what was written.

    Raises:
      NothingToExportError: its observations were not kept, or its frames have no numbers.
    """
    found = video.observations().columns
    known = found["frame"] != NO_STAMP
    if not known.all():
        raise NothingToExportError("some of its frames have no number, for its container has no time stamps")
    rows = np.lexsort((found["track"], found["frame"]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for i in rows.tolist():
        margin = float(found["confidence"][i])
        box = (f"{float(found[name][i]):.2f}" for name in ("x", "y", "width", "height"))
        confidence = _UNKNOWN if np.isnan(margin) else f"{margin:.4f}"
        frame = int(found["frame"][i]) + 1
        writer.writerow([frame, int(found["track"][i]), *box, confidence, _UNKNOWN, _UNKNOWN, _UNKNOWN])
    last = int(found["frame"].max(initial=-1)) + 1
    for name, content in (
        (storage.join(folder, "data", f"{video.name}.txt"), text.getvalue()),
        (storage.join(folder, video.name, "seqinfo.ini"), _sequence_info(video, last)),
    ):
        with storage.open_output(name) as file:
            file.write(content.encode())
        yield name


def _sequence_info(video: Video, last_frame: int) -> str:
    """What evaluation tools want to know of a sequence; they read whole numbers, in this order."""
    row = video.row
    fps = row["avg_fps"] or 0.0
    length = max(round((row["duration"] or 0.0) * fps), last_frame, 1)
    values = {
        "name": video.name.replace("\n", " "),
        "imDir": "img1",
        "frameRate": max(round(fps), 1),
        "seqLength": length,
        "imWidth": row["width"],
        "imHeight": row["height"],
        "imExt": ".jpg",
    }
    return "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
