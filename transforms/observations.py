"""Read samples that were kept (`facelog analyze --keep-observations`), with the track numbers of the tables."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import storage
from schemas.errors import StorageError
from schemas.layout import Layout, fragment_file
from transforms.stitch_tracks import Observations, stitch_tracks
from transforms.write_fragment import read_fragment

# A very long segment has parts, 00003.001.parquet; the last one, 00003.parquet, says how many.
_SEGMENT = re.compile(r"\d{5}\.parquet")


def read_observations(out: str, video_id: str) -> Observations | None:
    """Every sample of every face of a video; its `track` is the `track_id` of the tables.

    Args:
      out: DIR, normalized.
      video_id: of a video with tables.

    Returns:
      The samples, or None where they were not kept.

    Raises:
      StorageError: they cannot be read.
    """
    folder = Layout(out).observations(video_id)
    count = sum(bool(_SEGMENT.fullmatch(info.uri.rsplit("/", 1)[-1])) for info in storage.list_files(folder))
    if not count:
        return None
    try:
        fragments = [read_fragment(folder, index) for index in range(count)]
        footer = pq.read_schema(pa.BufferReader(storage.read_bytes(fragment_file(folder, 0)))).metadata
        min_iou = json.loads(footer[b"config_json"])["aggregation"]["stitch_iou"]
        if fragments[-1].end is not None:
            raise FileNotFoundError(f"{folder} ends in mid-video")
    except (FileNotFoundError, KeyError, pa.ArrowException) as error:
        raise StorageError(
            f"{folder} is not whole: analyze the video again with --keep-observations, or remove that folder."
        ) from error
    return stitch_tracks(fragments, min_iou=min_iou)
