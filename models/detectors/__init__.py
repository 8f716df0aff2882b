"""Face detectors, a file each.

A detector is a file here, and its name is the file's. The first line of its docstring says what it costs and what it is
for: `facelog analyze --help` and `facelog doctor` show that line. The file holds its `DETECTOR`; see `interface`.
"""

import ast
import functools
from pathlib import Path

_NO_DETECTORS = ("__init__", "choose", "interface")


@functools.cache
def summaries() -> dict[str, str]:
    """What each detector costs and is for, by its name. Reads the files and imports none: some need large libraries."""
    files = sorted(file for file in Path(__file__).parent.glob("*.py") if file.stem not in _NO_DETECTORS)
    docstrings = {file.stem: ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "" for file in files}
    return {name: text.partition("\n")[0] for name, text in docstrings.items()}
