"""`facelog doctor`: what an installation has, and what it lacks."""

import os
import platform
from importlib import metadata

from rich.console import Console
from rich.table import Table

_PACKAGES = (
    *("apache-beam", "ai-edge-litert", "tensorflow", "av", "dlib"),
    *("opencv-python-headless", "pyarrow", "numpy", "pandas"),
)
_FLAGS = ("sse4_2", "avx", "avx2", "avx512f", "amx_bf16", "asimd")


def examine(console: Console) -> bool:
    """Prints versions, processor, models, detectors and GPU; returns whether everything is there."""
    table = Table(box=None, show_header=False, pad_edge=False)
    problems = []
    table.add_row("python", platform.python_version())
    table.add_row("system", platform.platform())
    table.add_row("cores", f"{len(os.sched_getaffinity(0))} for this process; {', '.join(_cpu_flags()) or 'unknown'}")
    for package in _PACKAGES:
        version, missing = _version(package)
        table.add_row(package, version)
        problems += missing
    problems += _models(table)
    problems += _detectors(table)
    from runners.devices import free_gpu_mb

    free = free_gpu_mb()
    table.add_row("gpu", "none found (nvidia-smi)" if free is None else f"{free} MB free")
    console.print(table, markup=False)
    for problem in problems:
        console.print(f"missing: {problem}", style="red", markup=False)
    return not problems


def _version(package: str) -> tuple[str, list[str]]:
    names = {"dlib": ("dlib", "dlib-bin"), "tensorflow": ("tensorflow", "tensorflow-cpu")}.get(package, (package,))
    for name in names:
        try:
            return metadata.version(name), []
        except metadata.PackageNotFoundError:
            continue
    return "missing", [f"{package}; pip install {names[-1]}"]


def _models(table: Table) -> list[str]:
    from models.bundle import RUNTIMES, bundle_names, bundle_path, check_bundle, runtime_of
    from models.cards import read_card
    from models.landmarks import landmark_sha256
    from schemas.errors import BundleError

    problems = []
    for name in bundle_names():
        try:
            card = read_card(bundle_path(name))
            check_bundle(bundle_path(name))
            runtime = RUNTIMES[runtime_of(card)]
            table.add_row(f"model {name}", f"{runtime} runs it on the CPU; sha256 {card.sha256[:12]}… as its card says")
        except BundleError as error:
            table.add_row(f"model {name}", "damaged")
            problems.append(f"an intact model {name}: {error}")
    if not bundle_names():
        problems.append("the models: install facelog again")
    try:
        table.add_row("landmarks", f"sha256 {landmark_sha256()[:12]}…")
    except BundleError as error:
        problems.append(str(error))
    return problems


def _detectors(table: Table) -> list[str]:
    from models.detectors import summaries
    from models.detectors.choose import detector_card, weights_sha256
    from models.detectors.interface import NotInstalledError
    from schemas.config import Detection
    from schemas.errors import FacelogError

    problems = []
    for name in summaries():
        try:
            card = detector_card(name)
            sha256 = weights_sha256(Detection(detector=name))
            weights = f"weights sha256 {sha256[:12]}…" if sha256 else "no weights of its own"
            table.add_row(f"detector {name}", f"{card.source}; {card.licence}; {weights}")
        except (ImportError, FacelogError) as error:
            if isinstance(error, NotInstalledError) and card.extra:
                table.add_row(f"detector {name}", f"not installed; if you want it: pip install 'facelog[{card.extra}]'")
                continue
            table.add_row(f"detector {name}", "missing")
            problems.append(f"the detector {name}: {error}")
    return problems


def _cpu_flags() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:
            line = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return []
    return [flag for flag in _FLAGS if flag in line.split()]
