"""Makes the tables of docs/models.md, the shipped models and their figures, from the cards.

usage: python -m benchmarks.model_table [--write]
It prints the tables; with --write it puts them into docs/models.md.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from models.bundle import bundle_names, bundle_path
from models.cards import Card, read_card
from training.datasets import KINDS

DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- python -m benchmarks.model_table --write -->\n", "<!-- end -->\n"

# Prefixes of a figure's name: the set, the split or the labels that it was measured on, if not the first.
_SPLITS = ("training", "train", "publictest", "privatetest", "validation", "valid", "val", "test")
_WORDS = sorted((*KINDS, *_SPLITS, "ferplus", "end_to_end", "ready"), key=len, reverse=True)
_MEASURED_ON = re.compile(rf"((?:(?:{'|'.join(_WORDS)})\d*_)*)(.+)")

Figures = dict[str, dict[str, float]]


def main(*arguments: str) -> None:
    """Print the tables, or write them where they belong."""
    text = tables([bundle_path(name) for name in bundle_names()])
    if "--write" in arguments:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text("utf-8"), text), encoding="utf-8")
    else:
        print(text, end="")


def tables(folders: list[Path]) -> str:
    """A table of all bundles, and a table of figures for each set of attributes."""
    cards = [read_card(folder) for folder in folders]
    lines = ["| bundle | gives | sees | weights | size | figures are of |", "| --- | --- | --- | ---: | ---: | --- |"]
    for card, folder in zip(cards, folders, strict=True):
        size = card.geometry.size
        sees = f"{size} × {size}, {card.geometry.channels}"
        megabytes = f"{(folder / 'model.keras').stat().st_size / 1e6:.1f} MB"
        cells = [f"`{card.name}`", ", ".join(card.attributes), sees, f"{card.parameters:,}", megabytes, card.test_data]
        lines.append(_row(cells))
    for task in sorted({card.task for card in cards}):
        lines += ["", *_figures([card for card in cards if card.task == task])]
    return "\n".join(lines) + "\n"


def replaced(document: str, text: str) -> str:
    """A document with the text between its two marks replaced."""
    before, found, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert found and end, f"{DOCUMENT} has lost its marks {BEGIN.strip()} and {END.strip()}"
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _figures(cards: list[Card]) -> Iterator[str]:
    columns = {(card.name, on): of for card in cards for on, of in _by_what_measured_on(card).items()}
    names = list(dict.fromkeys(name for of in columns.values() for name in of))
    yield _row(["", *(f"`{bundle}`{': ' + on if on else ''}" for bundle, on in columns)])
    yield _row(["---", *("---:" for _ in columns)])
    for name in names:
        yield _row([f"`{name}`", *(_number(of[name]) if name in of else "" for of in columns.values())])


def _by_what_measured_on(card: Card) -> Figures:
    """A card's figures, grouped by the prefix that says what they were measured on."""
    found: Figures = {}
    for key, value in card.figures.items():
        match = _MEASURED_ON.fullmatch(key)
        assert match is not None
        found.setdefault(match[1].rstrip("_"), {})[match[2]] = value
    return found


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and value > 1 else f"{value:.4g}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(*sys.argv[1:])
