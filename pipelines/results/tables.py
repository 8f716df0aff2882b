"""The tables of one video."""

import pyarrow as pa

from schemas.layout import Layout
from schemas.table_files import read_table
from schemas.tables import TABLES


def read_video_table(out: str, name: str, video_id: str) -> pa.Table:
    """A video's rows in `faces`, `tracks` or `timeline`; the texts of the file's footer are the table's metadata.

    Args:
      out: DIR, normalized.
      name: of the table.
      video_id: of a video whose row in `videos` says that it has tables.

    Raises:
      MissingTableError: the file is not there; a run may be at it.
      DamagedTableError: it cannot be read as that table.
      StorageError: the file system did not let us read it.
    """
    return read_table(Layout(out).table(name, video_id), TABLES[name])
