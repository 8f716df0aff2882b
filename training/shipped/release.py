"""Packs trained bundles for a release: one zip each, their checksums, and a list of what they are.

usage: python training/shipped/release.py OUT RUN...

A RUN is the folder of a bundle, or the run folder of `facelog train` that it lies in. OUT gets NAME.zip, SHA256SUMS and
models.md. The same bundles give the same files, byte by byte.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from models.bundle import check_bundle
from models.cards import Card, read_card
from schemas.errors import UsageError

_CARD = "card.json"
_FIGURES = ("accuracy", "ferplus_accuracy", "age_mae", "age_group_accuracy", "gender_accuracy")
_DATE = (1980, 1, 1, 0, 0, 0)


def pack(out: Path, runs: Sequence[Path]) -> list[Path]:
    """Write the files of a release.

    Args:
      out: folder for them; created if needed.
      runs: folders of bundles, or of trainings.

    Returns:
      The zips.

    Raises:
      UsageError: a folder has no bundle, or two bundles have the same name.
      BundleError: a bundle is damaged.
    """
    bundles = [bundle for run in runs for bundle in _bundles(run)]
    names = [bundle.name for bundle in bundles]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"Two bundles are called {twice[0]}: name them apart with --bundle when you train.")
    out.mkdir(parents=True, exist_ok=True)
    packed, lines = [], []
    for bundle in sorted(bundles, key=lambda of: of.name):
        check_bundle(bundle)
        file = out / f"{bundle.name}.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(bundle.iterdir()):
                archive.writestr(zipfile.ZipInfo(f"{bundle.name}/{part.name}", _DATE), part.read_bytes())
        packed.append(file)
        lines.append(_line(read_card(bundle), file))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in packed]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    head = "| file | MB | network | trained on | figures |\n| --- | ---: | --- | --- | --- |\n"
    (out / "models.md").write_text(head + "".join(lines), encoding="utf-8")
    return packed


def _bundles(run: Path) -> list[Path]:
    found = [run] if (run / _CARD).is_file() else sorted(card.parent for card in run.glob(f"*/{_CARD}"))
    if not found:
        raise UsageError(f"{run} holds no bundle: give the folder of a training that is done, or of a bundle.")
    return [folder.resolve() for folder in found]


def _line(card: Card, file: Path) -> str:
    figures = ", ".join(f"{name} {card.figures[name]:g}" for name in _FIGURES if name in card.figures)
    size = file.stat().st_size / 1e6
    return f"| {file.name} | {size:.1f} | {card.architecture} | {card.training_data} | {figures} |\n"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit((__doc__ or "").strip())
    for path in pack(Path(sys.argv[1]), [Path(of) for of in sys.argv[2:]]):
        print(path)
