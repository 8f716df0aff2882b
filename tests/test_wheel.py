"""The wheel is whole: installed elsewhere, without the checkout, it analyzes a clip."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tests.clips import portrait_clip

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess]

_ROOT = Path(__file__).parents[1]
_PACKAGES = {"pipelines", "transforms", "models", "training", "schemas", "runners"}


def _run(*command: str | Path, **options: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy (a build leaves files behind) with the environment's own setuptools, so without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for path in [*_ROOT.glob("*.toml"), _ROOT / "setup.py", _ROOT / "README.md", _ROOT / "LICENSE"]:
        source.mkdir(exist_ok=True)
        shutil.copy(path, source)
    for package in (*_PACKAGES, "tests", "benchmarks"):
        shutil.copytree(_ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (path,) = folder.glob("facelog-*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_holds_the_packages_and_nothing_else(names: set[str]) -> None:
    sources = [path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py*") if path.suffix != ".pyc"]
    assert {name for name in names if name.endswith((".py", ".pyi"))} == {
        path.relative_to(_ROOT).as_posix() for path in sources if path.is_file()
    }
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == _PACKAGES


def test_holds_what_pages_are_made_of(names: set[str]) -> None:
    parts = [path for part in ("templates", "static") for path in (_ROOT / "pipelines" / "reports" / part).iterdir()]
    parts += (_ROOT / "training" / "judging" / "templates").iterdir()
    assert {path.relative_to(_ROOT).as_posix() for path in parts} <= names


def test_holds_the_models(names: set[str]) -> None:
    bundles = _ROOT / "models" / "bundles"
    expected = {path.relative_to(_ROOT).as_posix() for path in bundles.rglob("*") if path.is_file()}
    assert expected <= names
    assert len([name for name in names if name.endswith("/model.keras")]) >= 2


def test_analyzes_a_clip(wheel: Path, tmp_path: Path) -> None:
    installed, out = tmp_path / "installed", tmp_path / "out"
    clip = portrait_clip(tmp_path / "portrait.mp4")
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", installed, wheel)
    # Dependencies come from this environment; PYTHONPATH goes before its editable facelog.
    elsewhere = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(installed)}}
    found = _run(sys.executable, "-c", "import pipelines.cli.main as cli; print(cli.__file__)", **elsewhere)
    assert Path(found.strip()).is_relative_to(installed)

    _run(sys.executable, "-m", "pipelines.cli", "analyze", clip.path, "--out", out, "--workers=1", **elsewhere)
    bucket = ds.partitioning(pa.schema([("bucket", pa.string())]), flavor="hive")
    tables = {
        name: ds.dataset(out / name, partitioning=bucket).to_table().to_pylist()
        for name in ("faces", "tracks", "timeline", "videos")
    }
    (video,) = tables["videos"]
    assert (video["uri"], video["status"], video["n_tracks"]) == (str(clip.path), "ok", 1)
    (track,) = tables["tracks"]
    assert [row["n_faces"] for row in tables["timeline"]] == [1, 1]
    assert [(row["track_id"], row["second"]) for row in tables["faces"]] == [(track["track_id"], s) for s in (0, 1)]
