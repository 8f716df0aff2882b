import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from models.bundle import bundle_path
from models.cards import read_card
from schemas.errors import BundleError, UsageError
from training.shipped.release import pack


def make_bundle(folder: Path) -> Path:
    """A bundle whose weights are a few bytes."""
    folder.mkdir(parents=True)
    card = json.loads((bundle_path("emotion") / "card.json").read_text("utf-8"))
    files = {"model.keras": b"weights", "model.tflite": b"the same, converted"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sums = [hashlib.sha256(content).hexdigest() for content in files.values()]
    card |= {"name": folder.name, "sha256": sums[0], "litert": {"sha256": sums[1]}}
    (folder / "card.json").write_text(json.dumps(card), "utf-8")
    return folder


def test_a_release_has_zips_checksums_and_a_list(tmp_path: Path) -> None:
    small = make_bundle(tmp_path / "runs" / "small" / "small")
    other = make_bundle(tmp_path / "other")
    packed = pack(tmp_path / "release", [small.parent, other])
    assert [file.name for file in packed] == ["other.zip", "small.zip"]
    with zipfile.ZipFile(packed[1]) as archive:
        assert archive.namelist() == ["small/card.json", "small/model.keras", "small/model.tflite"]
        archive.extractall(tmp_path / "there")
    assert (tmp_path / "there/small/model.keras").read_bytes() == (small / "model.keras").read_bytes()
    sums = dict(line.split("  ")[::-1] for line in (tmp_path / "release/SHA256SUMS").read_text("utf-8").splitlines())
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in packed}
    listed = (tmp_path / "release/models.md").read_text("utf-8").splitlines()
    accuracy = read_card(small).figures["accuracy"]
    assert listed[3].startswith("| small.zip | 0.0 | emotion-resnet | FER2013,") and f"accuracy {accuracy}" in listed[3]

    before = packed[0].read_bytes()
    assert pack(tmp_path / "release", [other]) == packed[:1] and packed[0].read_bytes() == before


def test_what_cannot_be_released_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no bundle"):
        pack(tmp_path / "release", [tmp_path])
    twins = [make_bundle(tmp_path / number / "small") for number in ("1", "2")]
    with pytest.raises(UsageError, match="Two bundles are called small"):
        pack(tmp_path / "release", twins)
    (twins[0] / "model.keras").write_bytes(b"other")
    with pytest.raises(BundleError, match="small is damaged"):
        pack(tmp_path / "release", twins[:1])
