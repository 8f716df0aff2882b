"""An answer as a table that fits the terminal.

DuckDB's own `relation.show(max_width=…, max_rows=…)` (2.0.1) does not do it. Of more than 9,999 rows it says "? rows"
and shows the last ones that it read as if they were the answer's last; `max_rows=0` shows none; it cuts long names of
files and error messages, which are folded here.
"""

import io
import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.queries.query import batches, exact_floats
from pipelines.words import counted

if TYPE_CHECKING:
    import duckdb

_WIDEST = 60
"""The widest column of a table, in characters, unless it is the only one."""


def show(relation: "duckdb.DuckDBPyRelation", console: Console, *, max_rows: int) -> str:
    """The first rows of an answer as text for a terminal, and a line that says how many more there are.

    Args:
      relation: the answer; it is read to its end, to count.
      console: the terminal; what is none gets tables as wide as they are.
      max_rows: rows that are shown; 0: all.
    """
    shown: list[tuple[Any, ...]] = []
    total = 0
    kinds: list[pa.DataType] = []
    relation = exact_floats(relation)
    for batch in batches(relation):
        kinds = batch.schema.types
        wanted = batch if not max_rows else batch.slice(0, max(max_rows - len(shown), 0))
        shown += zip(*(column.to_pylist() for column in wanted.columns), strict=True)
        total += batch.num_rows
    names = relation.columns
    cells = [[_text(row[i]) for row in shown] for i in range(len(names))]
    places = _fitting(names, cells, console.width if console.is_terminal else None)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for place in places:
        if place is None:
            table.add_column("…")
        else:
            right = bool(kinds) and _is_number(kinds[place])
            table.add_column(
                Text(_printable(names[place])), justify="right" if right else "left", overflow="fold", no_wrap=False
            )
    for number in range(len(shown)):
        table.add_row(*("…" if place is None else cells[place][number] for place in places))
    wide = Console(
        file=io.StringIO(),
        width=console.width if console.is_terminal else 1 << 14,
        force_terminal=console.is_terminal,
        color_system=console.color_system if console.is_terminal else None,  # type: ignore[arg-type]
        no_color=console.no_color,
        highlight=False,
    )
    with wide.capture() as capture:
        wide.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    table_text = "\n".join(lines).strip("\n")
    return (
        "\n".join([table_text, "", _last_line(total, len(shown), len(names), sum(p is not None for p in places))])
        + "\n"
    )


def _last_line(total: int, shown: int, columns: int, shown_columns: int) -> str:
    text = counted(total, "row")
    if shown < total:
        text += f", {total - shown:,} more than are shown: --max-rows 0 shows all"
    if shown_columns < columns:
        text += f"; {columns - shown_columns} of {columns} columns do not fit: name those you want, or --format csv"
    return text


def _fitting(names: Sequence[str], cells: Sequence[Sequence[Text]], width: int | None) -> list[int | None]:
    """Which columns are shown, from both ends inwards; None stands for those left out."""
    every: list[int | None] = list(range(len(names)))
    if width is None:
        return every
    wants = [
        min(max([cell_len(name), *(cell.cell_len for cell in column)]), _WIDEST) + 2
        for name, column in zip(names, cells, strict=True)
    ]
    # Names alone may shrink the widest columns, which then fold; more than that hides columns.
    least = [max(min(want, cell_len(name) + 2), min(want, 14)) for want, name in zip(wants, names, strict=True)]
    if sum(least) <= width:
        return every
    left: list[int] = []
    right: list[int] = []
    room = width - 3
    low, high = 0, len(names) - 1
    while low <= high:
        from_left = len(left) <= len(right)
        place = low if from_left else high
        if least[place] > room and (left or right):
            break
        room -= least[place]
        if from_left:
            left, low = [*left, place], low + 1
        else:
            right, high = [place, *right], high - 1
    return [*left, None, *right]


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _text(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, float):
        return Text(f"{value:.10g}" if math.isfinite(value) else str(value))
    if isinstance(value, datetime):
        return Text(value.isoformat(" ", "seconds"))
    return Text(_printable(str(value)))


def _printable(text: str) -> str:
    """Without control characters but ends of lines: names of files are other people's, and a terminal obeys them."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
