"""Analyze single pictures without an output folder: each picture takes the steps of the pipeline.

The results are those that `analyze` writes into the table `faces` for the same picture, to the last bit.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np

from models.bundle import load_bundle
from models.handlers import FaceModelHandler
from models.runtime import Device
from pipelines.annotations.annotate import draw_faces
from pipelines.annotations.drawing import blur_face
from pipelines.annotations.face_paths import ShownFace, caption, known_attributes
from pipelines.annotations.frame_copy import upright_rgb
from pipelines.inputs import Inputs
from pipelines.settings import chosen_device, make_config, settled
from schemas import storage
from schemas.config import Config
from schemas.errors import FacelogError, MediaError, StorageFullError, UsageError
from schemas.layout import Layout
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan
from transforms.crop_faces import crop_faces
from transforms.decode_frames import decode_segment
from transforms.follow_faces import follow_faces
from transforms.heif import decode_grid, grid_of
from transforms.ledger import HAS_TABLES, Row
from transforms.media import is_still
from transforms.open_video import NoVideoError, freeze_objects, open_video, read_frames
from transforms.probe_video import probe_video
from transforms.write_fragment import fragment_of
from transforms.write_tables import make_tables

_WRITABLE = (".jpg", ".jpeg", ".png", ".webp")
_MARK = ".faces"
_PICTURE_ENDINGS = (*_WRITABLE, ".avif", ".bmp", ".gif", ".heic", ".heif", ".tif", ".tiff")
# JPEG has no transparency.
_QUALITY = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 95], ".png": []}
_JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]


@dataclasses.dataclass(frozen=True)
class PictureFaces:
    """The faces of a picture.

    Attributes:
      uri: of the picture.
      status: as in the table `videos`: ok, partial (damaged, and something was read), no_video, corrupt or failed.
      message: what is wrong with it; None if nothing is.
      width, height: pixels, with EXIF orientation applied; None where it could not be read.
      faces: a dict for each face with the columns of the table `faces`, from left to right.
      copy: name of the annotated copy; None if none was asked for.
    """

    uri: str
    status: str
    message: str | None = None
    width: int | None = None
    height: int | None = None
    faces: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    copy: str | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it could not be read."""
        return self.status not in HAS_TABLES


def image(
    pictures: Sequence[str] | str,
    *,
    config: Config | None = None,
    device: Device = "auto",
    out: str | None = None,
    blur: bool = False,
    labels: bool | None = None,
    overwrite: bool = False,
    on_picture: Callable[[PictureFaces], None] | None = None,
) -> list[PictureFaces]:
    """The faces in pictures.

        for face in image("party.jpg")[0].faces:
            print(face["x"], face["y"], face["emotion"], face["age"])

    Args:
      pictures: files, folders, globs or URLs; of folders and globs the pictures, without copies that this made.
      config: as of `pipelines.make_config`; default: facelog's models and settings.
      device: "auto", "cpu" or "gpu".
      out: where annotated copies go: a folder, or for one picture a file (.jpg, .jpeg, .png, .webp); None: nowhere.
      blur: copies have faces made unrecognizable; those that were not found are not.
      labels: copies have boxes and labels; default: unless `blur`.
      overwrite: whether a copy may be there already.
      on_picture: called with each when it is done.

    Returns:
      One for each picture, in the order of their names; one that cannot be read has a status and a message.

    Raises:
      UsageError: a name is wrong, there is no picture, or a copy would replace something.
      BundleError: a model is missing or damaged.
    """
    device = chosen_device(device)
    config = settled(config or make_config(), device)
    names = [pictures] if isinstance(pictures, str) else list(pictures)
    files, bad = _match(names)
    copies = _copies(files, out, overwrite)
    bundles = [load_bundle(model.name, device=device) for model in config.models]
    freeze_objects()
    results = []

    def done(result: PictureFaces) -> None:
        results.append(result)
        if on_picture is not None:
            on_picture(result)

    for uri, why in bad.items():
        done(PictureFaces(uri, "failed", why))
    for file in files:
        result = _analyze(file, config, bundles)
        if out is not None and not result.is_bad:
            copy = copies[file.uri]
            try:
                storage.write_bytes(copy, _drawn(result, config, copy, blur, not blur if labels is None else labels))
                result = dataclasses.replace(result, copy=copy)
            except StorageFullError:
                raise
            except (FacelogError, OSError) as error:
                result = dataclasses.replace(result, status="failed", message=str(error))
        done(result)
    return results


def _match(names: Sequence[str]) -> tuple[list[FileInfo], dict[str, str]]:
    """The pictures, and what is wrong with names that are none."""
    matched = Inputs(names, stdin=sys.stdin).match(os.devnull)
    outright = {storage.normalize(name) for name in names if name != "-"}
    bad, files = dict(matched.missing), []
    for file in matched.files:
        stem, ending = os.path.splitext(file.uri)
        is_named = file.uri in outright
        if not is_named and ending in _WRITABLE and stem.endswith(_MARK):
            continue  # a copy that was made here
        still = _is_still(file.uri)
        if still or (still is None and (is_named or ending.lower() in _PICTURE_ENDINGS)):
            files.append(file)
        elif is_named:
            bad[file.uri] = f"{file.uri} is no picture: for videos use `facelog analyze`."
    if not files and not bad:
        raise UsageError(f"There is no picture in {', '.join(names)}; for videos use `facelog analyze`.")
    return files, bad


def _is_still(uri: str) -> bool | None:
    """Whether it is a picture and no film; None: it does not open."""
    try:
        with open_video(uri, Config()) as (container, _):
            return is_still(container)
    except NoVideoError:
        return False
    except (FacelogError, OSError):
        return None


def _copies(files: Sequence[FileInfo], out: str | None, overwrite: bool) -> dict[str, str]:
    """Name of each picture's copy.

    Raises:
      UsageError: two would have the same, or there is something.
    """
    if out is None:
        return {}
    out = storage.normalize(out)
    is_file = os.path.splitext(out)[1].lower() in _WRITABLE and not storage.is_folder(out)
    if is_file and len(files) != 1:
        raise UsageError(f"--out {out}: for {len(files)} pictures give a folder.")
    copies: dict[str, str] = {}
    for file in files:
        copy = out if is_file else storage.join(out, _copy_name(file.uri))
        if twin := next((uri for uri, other in copies.items() if other == copy), None):
            raise UsageError(f"The copies of {twin} and {file.uri} would both be {copy}: take one folder at a time.")
        if copy in {other.uri for other in files} or _is_same(copy, file.uri):
            raise UsageError(f"{copy} is one of the pictures, which facelog never changes: give another name to --out.")
        if storage.exists(copy) and not overwrite:
            raise UsageError(f"{copy} is there already: give another place to --out, or --overwrite.")
        copies[file.uri] = copy
    return copies


def _copy_name(uri: str) -> str:
    stem, ending = os.path.splitext(uri.rsplit("/", 1)[-1])
    return f"{stem}{_MARK}{ending}" if ending.lower() in _WRITABLE else f"{stem}{ending}{_MARK}.png"


def _is_same(one: str, other: str) -> bool:
    if not (storage.is_local(one) and storage.is_local(other) and os.path.exists(one)):
        return one == other
    return os.path.samefile(one, other)


def _analyze(file: FileInfo, config: Config, bundles: Sequence[Any]) -> PictureFaces:
    plan = probe_video(file, config)
    if plan.info is None or not plan.segments:
        return PictureFaces(file.uri, plan.status, plan.error_message)
    try:
        row, faces = picture_tables(plan, config, bundles)
    except StorageFullError:
        raise
    except Exception as error:  # as in the pipeline: whatever a file does to a library must stay with that file
        text = str(error) or type(error).__name__
        return PictureFaces(file.uri, "failed", text if file.uri in text else f"{file.uri}: {text}")
    size = (plan.info.width, plan.info.height)
    return PictureFaces(file.uri, row["status"], row["error_message"], *size, faces=faces)


def picture_tables(plan: Plan, config: Config, bundles: Sequence[Any]) -> tuple[Row, list[dict[str, Any]]]:
    """Takes a file of one segment through the pipeline's steps: its row of `videos`, and its rows of `faces`.

    Args:
      plan: what the probe says of it.
      config: the configuration.
      bundles: the loaded models, in the order of `config.models`.
    """
    stream = decode_segment(plan.segments[0], config)
    tracked = dataclasses.replace(stream, samples=follow_faces(stream.samples, config))
    (batch,) = crop_faces(tracked, config, part_rows=sys.maxsize)
    for model, bundle in zip(config.models, bundles, strict=True):
        (batch,) = FaceModelHandler(model).run_inference([batch], bundle)
    run = Run("", config, Layout(""))
    row, tables = make_tables(plan, [fragment_of(batch)], run, started_at=datetime.now(UTC))
    return row, tables["faces"].to_pylist() if tables else []


def _drawn(result: PictureFaces, config: Config, copy: str, blur: bool, labels: bool) -> bytes:
    """The annotated copy, encoded as its ending says."""
    with open_video(result.uri, config) as (container, stream):
        grid = grid_of(result.uri, container)
        canvas = upright_rgb(decode_grid(container, grid, []) if grid else next(read_frames(container, stream)))
    known = known_attributes(result.faces)
    shown = [
        ShownFace(np.array([face[name] for name in ("x", "y", "width", "height")]), caption(face, face, known))
        for face in result.faces
    ]
    if blur:
        for face in shown:
            blur_face(canvas, face.box)
    if labels:
        draw_faces(canvas, shown)
    red, green, blue, *alpha = canvas.planes
    ending = os.path.splitext(copy)[1].lower()
    planes = [blue, green, red, *(alpha if ending in _QUALITY else ())]
    ok, data = cv2.imencode(ending, np.dstack(planes), _QUALITY.get(ending, _JPEG_QUALITY))
    if not ok:
        raise MediaError(f"{copy} could not be encoded; give another ending.")
    return data.tobytes()
