"""Decide which of several copies of a video is computed, and which rows follow from the row of that one.

Files with the same bytes are copies of one content. Only the first of them, by uri, is computed; the others get rows
with the same figures. A content that an earlier run has computed with the same configuration is not computed again. DIR
may also hold copies that were computed with another configuration and that this run was not asked for. Their tables are
replaced when the content is computed anew, so their rows are replaced, too.

The identity of a large file covers only parts of it. So a file that has changed since it was computed, and has the same
size and identity, is no copy of what it was: its content is computed anew. A new name alone is no change.

These rules are functions without side effects. The local runner applies them to one plan at a time
(`pipelines/runs/bookkeeping.py`), a Beam job to all plans of a content (`transforms/job/contents.py`).
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from schemas.config import Config
from schemas.run import Run
from schemas.storage import FileInfo
from schemas.video import Plan
from transforms.ledger import HAS_TABLES, Row, copied_row, new_row, suffices
from transforms.video_id import WHOLE

_RETRIED = ("storage_error", "changed_while_read")
"""Error types of `failed` files that the next run tries again: nothing is wrong with the file itself."""


@dataclasses.dataclass(frozen=True)
class Content:
    """Files of a run that hold the same bytes.

    Attributes:
      plans: their plans, by uri.
    """

    plans: tuple[Plan, ...]

    @classmethod
    def of(cls, plans: Iterable[Plan]) -> "Content":
        """The content of some plans with the same `video_id`."""
        return cls(tuple(sorted(plans, key=lambda plan: plan.file.uri)))

    @property
    def video_id(self) -> str:
        """Hash of the bytes."""
        return self.first.video_id or ""

    @property
    def first(self) -> Plan:
        """The file that is computed."""
        return self.plans[0]

    @property
    def copies(self) -> list[FileInfo]:
        """The other files."""
        return [plan.file for plan in self.plans[1:]]


@dataclasses.dataclass(frozen=True)
class EarlierResults:
    """What earlier runs left in DIR, as far as it decides what a run computes.

    Attributes:
      computed: by video_id, a row that suffices for the run and whose tables exist.
      other_config_copies: by video_id, files whose rows have another configuration and that the run was not asked for,
        and files whose rows are up to date although a file with the same identity was replaced.
      replaced: by video_id of contents whose file was replaced: when the earlier row of that file was finished.
    """

    computed: Mapping[str, Row] = dataclasses.field(default_factory=dict)
    other_config_copies: Mapping[str, list[FileInfo]] = dataclasses.field(default_factory=dict)
    replaced: Mapping[str, datetime] = dataclasses.field(default_factory=dict)


def is_up_to_date(row: Row | None, file: FileInfo, config: Config, *, retry_failed: bool = False) -> bool:
    """Whether the row of a file still says what this run would say of it.

    Args:
      row: of the file; None: it has none.
      file: as it is now.
      config: of the run.
      retry_failed: whether all `failed` files are tried again.
    """
    if row is None or not suffices(row, config) or _has_changed(row, file):
        return False
    return row["status"] != "failed" or not (retry_failed or row["error_type"] in _RETRIED)


def _has_changed(row: Row, file: FileInfo) -> bool:
    """Whether a file is not the one any more that its row is about, as far as size, time and etag tell."""
    if (row["size_bytes"], row["modified_at"]) != (file.size_bytes, file.modified_at):
        return True
    return bool(row["etag"] and file.etag and row["etag"] != file.etag)


def _replaced(rows: Iterable[Row], files: Iterable[FileInfo]) -> dict[str, datetime]:
    """Contents whose file was replaced by another of the same size, which their identity may not tell apart."""
    now = {file.uri: file for file in files if (file.size_bytes or 0) > WHOLE}
    replaced: dict[str, datetime] = {}
    for row in rows:
        file = now.get(row["uri"])
        if file and row["video_id"] and row["size_bytes"] == file.size_bytes and _has_changed(row, file):
            replaced[row["video_id"]] = max(replaced.get(row["video_id"], row["finished_at"]), row["finished_at"])
    return replaced


def earlier_results(
    rows: Collection[Row],
    config: Config,
    *,
    asked: Collection[str],
    stored: Collection[str],
    todo: Iterable[FileInfo] = (),
) -> EarlierResults:
    """What the rows of DIR say about contents.

    Args:
      rows: of `videos`.
      config: of the run.
      asked: uris that the run was asked for.
      stored: video_ids that have tables.
      todo: files that the run has to look at.
    """
    todo = list(todo)
    replaced, open_uris = _replaced(rows, todo), {file.uri for file in todo}
    computed: dict[str, Row] = {}
    other_config_copies: dict[str, list[FileInfo]] = defaultdict(list)
    for row in rows:
        if row["status"] not in HAS_TABLES:
            continue
        file = FileInfo(row["uri"], row["size_bytes"], row["modified_at"], row["etag"])
        if not suffices(row, config):
            if row["uri"] not in asked:
                other_config_copies[row["video_id"]].append(file)
        elif row["video_id"] in replaced:
            if row["uri"] not in open_uris:
                other_config_copies[row["video_id"]].append(file)
        elif row["video_id"] in stored:
            computed[row["video_id"]] = row
    return EarlierResults(computed, dict(other_config_copies), replaced)


def group_by_content(plans: Iterable[Plan]) -> list[Content]:
    """The contents of plans that have segments, in the order of their first uri."""
    groups: dict[str | None, list[Plan]] = defaultdict(list)
    for plan in plans:
        if plan.segments:
            groups[plan.video_id].append(plan)
    return sorted(map(Content.of, groups.values()), key=lambda content: content.first.file.uri)


def rows_without_work(plans: Iterable[Plan], computed: Row | None, run: Run) -> list[Row]:
    """The rows of files that need no computing: bad files, and files whose content is computed already.

    Args:
      plans: of files with the same content.
      computed: the row of an earlier run that has computed this content; None: none has.
      run: that writes the rows.

    Returns:
      A row for each plan; none if the content has to be computed.
    """
    rows = []
    for plan in plans:
        if not plan.segments:
            rows.append(new_row(plan, run.as_seen(plan), started_at=datetime.now(UTC)))
        elif computed is not None:
            rows.append(copied_row(computed, plan.file, run))
    return rows


def rows_that_follow(
    row: Row, copies: Iterable[FileInfo], other_config_copies: Iterable[FileInfo], run: Run
) -> list[Row]:
    """The rows that follow once the first file of a content has its row.

    Args:
      row: of the first file.
      copies: the other files of the run with this content.
      other_config_copies: see `EarlierResults`; their rows stay as they are if the first file has no tables.
      run: that wrote the row.
    """
    others = other_config_copies if row["status"] in HAS_TABLES else ()
    return [copied_row(row, file, run) for file in (*copies, *others)]
