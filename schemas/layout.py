"""Names of all files and folders in the output folder DIR. No other module spells them out.

DIR/{faces,tracks,timeline}/bucket=3f/<video_id>.parquet     tables, one file per video
DIR/videos/bucket=3f/<sha256 of the uri, 32 digits>.parquet  the ledger, one file per uri, written last
DIR/observations/bucket=3f/<video_id>/<segment>.parquet      every sample, when asked for
DIR/embeddings/bucket=3f/<video_id>.parquet                  embeddings of tracks, when asked for: biometric data
DIR/embeddings/enrolled                                      embeddings of pictures of enrolled persons: biometric data
DIR/persons/{persons,appearances,decisions}.parquet          who appears where in the archive, and what was decided
DIR/annotations/bucket=3f/<video_id>.<annotation_id>.parquet what people say of a face in `facelog serve`
DIR/reports/<page>.html, .json                               pages of `facelog report`, unless they go elsewhere
DIR/recordings/<name>.mp4                                    videos of the camera's page, when asked for
DIR/_work/lock                                               locked by the process that writes to DIR
DIR/_work/lease.json                                         who writes to DIR, on file systems without locks
DIR/_work/run.json                                           the current run, or the last one
DIR/_work/ledger.parquet                                     copy of all rows of videos, which is quick to read
DIR/_work/jobs/<run_id>/…                                    files of a cluster job that runs without its client
DIR/_work/<config_hash>/plans/<as in videos>.json            what the probe found out about a uri
DIR/_work/<config_hash>/<video_id>/<segment>.parquet         fragments, until the video's row is written
DIR/_work/<config_hash>/<video_id>/<segment>.embeddings      embeddings of their faces, as long
"""

import dataclasses
import hashlib
import re

from schemas import storage

ROW_TABLES = ("faces", "tracks", "timeline")
WORK = "_work"
EMBEDDINGS = "embeddings"
"""Name of the folder of everything biometric, and ending of the names of such files in `_work`."""

ANNOTATIONS = "annotations"
PERSONS = "persons"
FOLDERS = (*ROW_TABLES, "videos", "observations", EMBEDDINGS, PERSONS, ANNOTATIONS, "reports", "recordings", WORK)
"""All folders that facelog makes in DIR."""

PAGE_STATES = "pages.json"
"""Name of the file in a folder of pages where `facelog report` notes what they show."""
PERSONS_PAGE = "persons"
"""Name, without ending, of the page of the archive's persons in such a folder."""

PLANS = "plans"
"""Name of the folder of plans within the work of a configuration; the other folders there are named by video_id."""

FAILURE_ENDING = ".failed.json"
"""Ending of the names of records of segments that were given up."""

LIVE = "live://"
"""Beginning of the uris of what a camera showed for a while: nothing of it lies anywhere but in the tables."""

_LONGEST_STEM = 60  # letters of a page's name; a letter may take 4 bytes, and file systems allow 255 for a name
_LONGEST_BYTES = 200


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names in one output folder.

    Attributes:
      out: DIR, normalized.
    """

    out: str

    def folder(self, name: str) -> str:
        """One of `FOLDERS`."""
        return storage.join(self.out, name)

    def table(self, name: str, video_id: str) -> str:
        """A video's file in a folder of tables: `faces`, `tracks`, `timeline` or `embeddings`."""
        return storage.join(self.out, name, f"bucket={video_id[:2]}", f"{video_id}.parquet")

    def embeddings(self, video_id: str) -> str:
        """The file with the embeddings of a video's tracks."""
        return self.table(EMBEDDINGS, video_id)

    @property
    def enrolled(self) -> str:
        """The file with the embeddings of pictures of enrolled persons."""
        return storage.join(self.out, EMBEDDINGS, "enrolled")

    def persons(self, name: str) -> str:
        """The table `persons`, `appearances` or `decisions`."""
        return storage.join(self.out, PERSONS, f"{name}.parquet")

    def ledger(self, uri: str) -> str:
        """The file with a uri's row of `videos`."""
        name = row_name(uri)
        return storage.join(self.out, "videos", f"bucket={name[:2]}", f"{name}.parquet")

    def observations(self, video_id: str) -> str:
        """Folder of a video's kept observations: its fragments, under the names that they had in `_work`."""
        return storage.join(self.out, "observations", f"bucket={video_id[:2]}", video_id)

    def recording(self, name: str) -> str:
        """A video that the camera's page has recorded."""
        return storage.join(self.out, "recordings", f"{name}.mp4")

    def annotation(self, video_id: str, annotation_id: str) -> str:
        """The file of one annotation."""
        return storage.join(self.out, ANNOTATIONS, f"bucket={video_id[:2]}", f"{video_id}.{annotation_id}.parquet")

    def annotations(self, video_id: str) -> list[str]:
        """The files of all annotations of a video that are there."""
        folder = storage.join(self.out, ANNOTATIONS, f"bucket={video_id[:2]}")
        return [
            info.uri for info in storage.list_files(folder) if info.uri.rsplit("/", 1)[-1].startswith(f"{video_id}.")
        ]

    @property
    def page_states(self) -> str:
        """What `facelog report` notes about the pages in DIR/reports."""
        return storage.join(self.out, "reports", PAGE_STATES)

    @property
    def work(self) -> str:
        """Folder of everything that only runs need."""
        return storage.join(self.out, WORK)

    @property
    def lock(self) -> str:
        """The file that the process which writes to DIR has locked."""
        return storage.join(self.work, "lock")

    @property
    def lease(self) -> str:
        """The file that says who writes to DIR, on file systems without locks."""
        return storage.join(self.work, "lease.json")

    @property
    def run(self) -> str:
        """The record of the current run, or of the last one."""
        return storage.join(self.work, "run.json")

    @property
    def ledger_copy(self) -> str:
        """Copy of all rows of `videos` in one file."""
        return storage.join(self.work, "ledger.parquet")

    @property
    def jobs(self) -> str:
        """Folder of all jobs that run without their client; whoever holds DIR may remove it."""
        return storage.join(self.work, "jobs")

    def job(self, run_id: str) -> "JobFolder":
        """Files of one such job."""
        return JobFolder(storage.join(self.jobs, run_id))

    def work_of(self, config_hash: str) -> "Work":
        """Unfinished work of one configuration."""
        return Work(storage.join(self.work, config_hash))


@dataclasses.dataclass(frozen=True)
class Work:
    """Names of the unfinished work of one configuration.

    Attributes:
      folder: DIR/_work/<config_hash>.
    """

    folder: str

    @property
    def plans(self) -> str:
        """Folder of the plans of all uris; it lasts as long as the run."""
        return storage.join(self.folder, PLANS)

    def plan(self, uri: str) -> str:
        """What the probe found out about a uri."""
        return storage.join(self.plans, f"{row_name(uri)}.json")

    def video(self, video_id: str) -> str:
        """Folder of a video's fragments and failures."""
        return storage.join(self.folder, video_id)

    def video_ids(self) -> set[str]:
        """Videos with unfinished work."""
        return {info.uri.rsplit("/", 2)[-2] for info in storage.list_files(self.folder)} - {PLANS}

    def fragment(self, video_id: str, segment: int) -> str:
        """The last part of a segment's observations; once it is there, the segment is done."""
        return fragment_file(self.video(video_id), segment)

    def fragment_part(self, video_id: str, segment: int, part: int) -> str:
        """An earlier part of a very long segment."""
        return fragment_file(self.video(video_id), segment, part)

    def embeddings(self, video_id: str, segment: int, part: int) -> str:
        """The embeddings of the faces in a part of a segment."""
        return storage.join(self.video(video_id), f"{segment:05d}.{part:03d}.{EMBEDDINGS}")

    def failure(self, video_id: str, segment: int) -> str:
        """The record that says why a segment was given up."""
        return storage.join(self.video(video_id), f"{segment:05d}{FAILURE_ENDING}")


@dataclasses.dataclass(frozen=True)
class JobFolder:
    """Names of the files of one job that runs without its client.

    Attributes:
      folder: DIR/_work/jobs/<run_id>.
    """

    folder: str

    def files(self, number: int) -> str:
        """One of the lists of files that the job analyzes."""
        return storage.join(self.folder, "files", f"{number:06d}.json")

    @property
    def earlier(self) -> str:
        """What earlier runs say about the contents of these files."""
        return storage.join(self.folder, "earlier.json")

    @property
    def earlier_rows(self) -> str:
        """Rows of `videos` that belong to `earlier`."""
        return storage.join(self.folder, "earlier", "rows.parquet")

    @property
    def hosts(self) -> str:
        """Folder with a file for each worker process whose host was found fit."""
        return storage.join(self.folder, "hosts")

    def host(self, host: str, pid: int) -> str:
        """The file of one such worker process."""
        return storage.join(self.hosts, f"{host}-{pid}.json")

    @property
    def refused(self) -> str:
        """What is wrong with a host that is not fit for the job."""
        return storage.join(self.folder, "refused.json")

    def attempts(self, video_id: str, segment: int) -> str:
        """How often the job has begun a segment."""
        return storage.join(self.folder, "attempts", video_id, f"{segment:05d}.json")

    def probe_attempts(self, uri: str) -> str:
        """How often the job has begun the probe of a uri."""
        return storage.join(self.folder, "attempts", "probes", f"{row_name(uri)}.json")


def fragment_name(segment: int, part: int | None = None) -> str:
    """Name of the file with a segment's observations; `part` counts the earlier files of a very long segment."""
    return f"{segment:05d}.parquet" if part is None else f"{segment:05d}.{part:03d}.parquet"


def fragment_file(folder: str, segment: int, part: int | None = None) -> str:
    """The file of that name in a video's folder: `Work.video`, or `Layout.observations` once they are kept."""
    return storage.join(folder, fragment_name(segment, part))


def row_name(uri: str) -> str:
    """Stem of the names of files about a uri: its row, its plan."""
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


def page_name(uri: str, video_id: str) -> str:
    """Name of a video's page without its ending: the file's stem in letters, digits, `-`, `_`, `.`, and `page_ending`.

    It never begins with a dot, as names of unfinished files do. It stays the same as long as file and content do.
    """
    stem = uri.rsplit("/", 1)[-1]
    stem = stem.rpartition(".")[0] or stem
    safe = re.sub(r"[^\w.-]+", "_", stem)[:_LONGEST_STEM].strip("._-") or "video"
    safe = safe.encode()[:_LONGEST_BYTES].decode(errors="ignore")
    return f"{safe}{page_ending(video_id)}"


def page_ending(video_id: str) -> str:
    """The last part of the names of all pages of a content."""
    return f"-{video_id[:10]}"
