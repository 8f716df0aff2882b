"""CSV files with those columns of OpenFace 2 that facelog knows: `NAME.csv` for each video.

Frames count from 1, seconds from the first frame. `confidence` is dlib's margin, which has no upper bound, and empty
where the tracker alone saw the face; `success` is 1 where landmarks gave a pose. Of a head in profile pose_Rx is empty,
for its pitch is not known. Angles are OpenFace's: radians, of
R = Rx · Ry · Rz with x to the right of the picture, y down and z away from the camera, so pose_Rx above 0 looks down,
pose_Ry above 0 looks to the left of the picture, pose_Rz above 0 leans clockwise.
(Baltrušaitis et al., OpenFace 2.0, FG 2018; `Euler2RotationMatrix` in its RotationHelpers.h.)
"""

import csv
import io
from collections.abc import Iterator

import numpy as np

from pipelines.exports.videos import Video
from schemas import storage
from schemas.faces import NO_STAMP

COLUMNS = ("frame", "face_id", "timestamp", "confidence", "success", "pose_Rx", "pose_Ry", "pose_Rz")


def export_openface(video: Video, folder: str) -> Iterator[str]:
    """Writes one video, and yields what was written.

    Raises:
      NothingToExportError: its observations were not kept.
    """
    found = video.observations().columns
    angles = openface_angles(*(np.asarray(found[name], np.float64) for name in ("yaw", "pitch", "roll")))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i in np.lexsort((found["track"], found["timestamp"])).tolist():
        frame = int(found["frame"][i])
        writer.writerow(
            [
                "" if frame == NO_STAMP else frame + 1,
                int(found["track"][i]),
                f"{float(found['timestamp'][i]):.6f}",
                _number(found["confidence"][i]),
                int(not np.isnan(angles[i, 1:]).any()),
                *map(_number, angles[i]),
            ]
        )
    name = storage.join(folder, f"{video.name}.csv")
    with storage.open_output(name) as file:
        file.write(text.getvalue().encode())
    yield name


def openface_angles(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """pose_Rx, pose_Ry, pose_Rz of our angles (`transforms.pose`).

    Args:
      yaw: [n] degrees, above 0 to the right of the picture.
      pitch: [n] degrees, above 0 up.
      roll: [n] degrees, above 0 clockwise.

    Returns:
      [n, 3] radians; NaN where yaw or roll is. Where pitch alone is NaN, as of a head in profile, pose_Rx is, and the
      other two are those of a head that looks neither up nor down.
    """
    no_pitch, pitch = np.isnan(pitch), np.nan_to_num(pitch)
    yaw, pitch, roll = np.radians(yaw), np.radians(pitch), np.radians(roll)
    # The head's axes in the picture, columns of R. It looks along -z: yaw and pitch give that axis. Roll says where
    # the x axis lies in the picture; its depth follows, for the two are at right angles.
    z = np.stack([-np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=-1)
    flat = np.stack([np.cos(roll), np.sin(roll)], axis=-1)
    x = np.concatenate([flat * z[..., 2:], -np.sum(flat * z[..., :2], axis=-1, keepdims=True)], axis=-1)
    # A head seen from behind has its z axis towards us; its x axis keeps its direction in the picture.
    x = x * np.where(z[..., 2:] < 0, -1.0, 1.0) / np.linalg.norm(x, axis=-1, keepdims=True)
    y = np.cross(z, x)
    rx = np.where(no_pitch, np.nan, np.arctan2(-z[..., 1], z[..., 2]))
    ry = np.arcsin(np.clip(z[..., 0], -1, 1))
    rz = np.arctan2(-y[..., 0], x[..., 0])
    return np.stack([rx, ry, rz], axis=-1)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{float(value):.4f}"
