"""What one browser's camera page has going on here: its faces, its choices, and its recording."""

from __future__ import annotations

import time
from typing import Any

from models.bundle import bundle_names
from models.detectors import summaries
from pipelines.cameras.live_faces import JpegDecoder, LiveFaces
from pipelines.cameras.recorder import Recorder
from pipelines.cameras.source import short_name
from pipelines.cameras.warm import load_models
from pipelines.results.database import read_record
from pipelines.settings import make_config
from schemas.config import Config
from schemas.errors import UsageError
from transforms.picture import Picture

_MOST_PIXELS = 1920 * 1080
_SMALLEST_FACES = (20, 400)


class CameraSession:
    """Answers pictures and wishes; all calls come from one thread."""

    def __init__(self, out: str):
        """Loads nothing before the first wish."""
        self._out = out
        self._decoder = JpegDecoder(_MOST_PIXELS)
        self._config: Config | None = None
        self._bundles: list[Any] = []
        self._faces: LiveFaces | None = None
        self._recorder: Recorder | None = None

    def grant(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Does what the page asks for.

        Args:
          wish: `{"do": "choose", "emotion": NAME or null, "age_gender": NAME or null, "detector": NAME, "min_face":
            PIXELS}`, `{"do": "record", "name": NAME, "video": BOOL}` or `{"do": "stop"}`.

        Returns:
          What the page is told.

        Raises:
          UsageError: it is none of these, or names something that is not there.
          FacelogError: it cannot be done.
        """
        match wish.get("do"):
            case "choose":
                return self._choose(wish)
            case "record":
                return self._record(wish)
            case "stop":
                return {"recorded": self._stop()}
        raise UsageError("The page asks for something that this app does not know.")

    def look(self, data: bytes) -> dict[str, Any]:
        """The faces of a JPEG picture.

        Raises:
          UsageError: nothing was chosen yet.
          MediaError: it is no such picture.
        """
        if self._faces is None:
            raise UsageError("Choose the models first.")
        began = time.perf_counter()
        picture = Picture(self._decoder.decode(data))
        if self._recorder is not None:
            self._recorder.put(picture)
        faces = self._faces.look(picture, time.monotonic())
        return {
            "size": picture.size,
            "faces": faces,
            "milliseconds": round(1000 * (time.perf_counter() - began), 1),
            "recording": self._recording(),
        }

    def close(self) -> None:
        """Ends a recording under way: the page is gone."""
        self._stop()

    def _choose(self, wish: dict[str, Any]) -> dict[str, Any]:
        if self._recorder is not None:
            raise UsageError("A recording keeps its models and its detector: end it first.")
        names = [wish.get("emotion"), wish.get("age_gender")]
        if not all(name is None or name in bundle_names() for name in names):
            raise UsageError("There is no such model here.")
        detector, smallest = wish.get("detector"), wish.get("min_face")
        if detector not in summaries():
            raise UsageError("There is no such detector.")
        lowest, highest = _SMALLEST_FACES
        if not isinstance(smallest, int) or not lowest <= smallest <= highest:
            raise UsageError(f"The smallest face has {lowest} to {highest} pixels.")
        without = [attribute for attribute, name in zip(("emotion", "age"), names, strict=True) if name is None]
        without += ["gender"] if names[1] is None else []
        config = make_config(
            models=[name for name in names if name], without=without, detector=detector, min_face=smallest
        )
        self._bundles = load_models(config, "cpu")
        self._config, self._faces = config, LiveFaces(config, self._bundles)
        return {"chosen": [model.name for model in config.models], "detector": detector}

    def _record(self, wish: dict[str, Any]) -> dict[str, Any]:
        if self._config is None:
            raise UsageError("Choose the models first.")
        if read_record(self._out):
            raise UsageError(f"{self._out} is a compact copy, and recordings go where facelog analyze writes.")
        if self._recorder is None:
            name = short_name(str(wish.get("name") or "browser"))
            with_video = wish.get("video") is True
            self._recorder = Recorder(self._out, self._config, self._bundles, name, with_video=with_video)
        return {"recording": self._recording()}

    def _recording(self) -> dict[str, Any] | None:
        """How it stands with the recording; None: there is none. Its error ends it.

        Raises:
          FacelogError: what ended it.
        """
        recorder = self._recorder
        if recorder is None:
            return None
        if recorder.error is not None:
            self._recorder = None
            raise recorder.error
        return {"seconds": round(recorder.seconds, 1), "dropped": recorder.dropped}

    def _stop(self) -> dict[str, Any] | None:
        if self._recorder is None:
            return None
        recorder, self._recorder = self._recorder, None
        done = recorder.stop()
        if recorder.error is not None:
            raise recorder.error
        if done is None or done.last is None:
            return None
        return {
            "seconds": round(done.seconds, 1),
            "face_seconds": done.face_seconds,
            "video_id": done.last["video_id"],
        }
