"""Who is seen when, as RTTM, which people read who work on who speaks when: `NAME.rttm` for each video.

A line is `SPEAKER file 1 start duration <NA> <NA> person <NA> <NA>`, one for each track of a person. The person is
named as `facelog persons` has it (its name, or `person_12`); where an archive has no persons, as `tracks.person_id`
counts within the video. Times are the player's clock, `timestamp + start_offset`. No line says who speaks.
The format: NIST, Rich Transcription 2009 evaluation plan.
"""

import re
from collections.abc import Iterator

from pipelines.exports.videos import NothingToExportError, Video
from pipelines.results.persons import read_persons
from schemas import storage

Names = dict[tuple[str, int], str]
"""Name of the person of a track, by `video_id` and `track_id`."""


def names_of_persons(out: str) -> Names:
    """The names of all persons that `facelog persons` found in DIR, by track."""
    persons = read_persons(out, "persons")
    names = dict(zip(persons["person_id"].to_pylist(), persons["name"].to_pylist(), strict=True))
    return {
        (row["video_id"], row["track_id"]): names.get(row["person_id"]) or f"person_{row['person_id']}"
        for row in read_persons(out, "appearances").select(["person_id", "video_id", "track_id"]).to_pylist()
    }


def export_rttm(video: Video, folder: str, names: Names) -> Iterator[str]:
    """Writes one video, and yields what was written.

    Args:
      video: which.
      folder: where to.
      names: of persons of the archive.

    Raises:
      NothingToExportError: no track of it has a person.
    """
    lines = []
    for track in video.table("tracks").sort_by([("start_time", "ascending"), ("track_id", "ascending")]).to_pylist():
        name = names.get((video.video_id, track["track_id"]))
        if name is None and track["person_id"] is not None:
            name = f"person_{track['person_id']}"
        if name is not None:
            start, duration = track["start_time"] + video.start_offset, track["duration"]
            words = ("SPEAKER", _word(video.name), "1", f"{start:.3f}", f"{duration:.3f}", "<NA>", "<NA>")
            lines.append(" ".join((*words, _word(name), "<NA>", "<NA>")))
    if not lines:
        raise NothingToExportError("its persons were not asked for: analyze it with --persons")
    name = storage.join(folder, f"{video.name}.rttm")
    with storage.open_output(name) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    yield name


def _word(text: str) -> str:
    """A text without the spaces that separate fields."""
    return re.sub(r"\s+", "_", text.strip()) or "_"
