"""The documents against the code: figures, commands, names and links."""

import dataclasses
import itertools
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import typer.main

import pipelines
from benchmarks import model_table
from models.bundle import bundle_names, bundle_path
from models.cards import Card, Output
from models.zoo import ZOO
from pipelines.cli.main import app
from training.datasets import KINDS
from training.judging.evaluate import FIGURES
from training.recipe import RECIPES, Further, Head, Jitter, Mix, Recipe, Schedule, Weights

_ROOT = Path(__file__).parents[1]
_DOCUMENTS = [_ROOT / "README.md", _ROOT / "deploy" / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


def _text(name: str) -> str:
    return (_ROOT / "docs" / name).read_text("utf-8")


def _fields(*kinds: type) -> list[str]:
    return [field.name for kind in kinds for field in dataclasses.fields(kind)]


def _commands(text: str) -> Iterator[list[str]]:
    """The arguments of each call of facelog in a document's code blocks."""
    for _, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", "").splitlines():
            if match := re.match(r"(?:\.venv/bin/)?facelog (.*)", line):
                words = shlex.split(match[1], comments=True)
                yield list(itertools.takewhile(lambda word: word not in ("|", ">"), words))


def test_tables_of_figures_are_those_of_the_cards() -> None:
    document = model_table.DOCUMENT.read_text("utf-8")
    tables = model_table.tables([bundle_path(name) for name in bundle_names()])
    assert document == model_table.replaced(document, tables), "run python -m benchmarks.model_table --write"


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_understood(document: Path) -> None:
    for arguments in _commands(document.read_text("utf-8")):
        command, rest = typer.main.get_command(app), list(arguments)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
        if rest != ["--help"]:
            command.make_context("facelog", rest)  # raises for an option that is not there, or one that is missing


def test_commands_are_found() -> None:
    text = "facelog no\n```\nfacelog data show x.zip | sort  # the page\n\nfacelog train x \\\n    --data x\n```\n"
    assert list(_commands(text)) == [["data", "show", "x.zip"], ["train", "x", "--data", "x"]]
    assert sum(len(list(_commands(document.read_text("utf-8")))) for document in _DOCUMENTS) > 20


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", document.read_text("utf-8")):
        file = document.parent / target if target else document
        assert file.is_file(), target
        headings = re.findall(r"^#+ (.*)", file.read_text("utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings]


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("models.md", [*Card.model_fields, *Output.model_fields]),
        ("training.md", [*KINDS, *RECIPES, *FIGURES, "ms_per_face_b1", "ms_per_face_b32"]),
    ],
)
def test_names_are_explained(document: str, names: Collection[str]) -> None:
    text = _text(document)
    assert not [name for name in names if f"`{name}`" not in text]


def test_every_field_of_a_recipe_is_in_its_example() -> None:
    text = _text("training.md")
    nested = {"schedule", "jitter", "weights", "options", "heads", "network", "mix", "further"}
    assert all(f"[{name}]" in text for name in nested - {"network"})
    fields = [name for name in _fields(Recipe, Schedule, Jitter, Weights, Head, Mix, Further) if name not in nested]
    assert not [name for name in fields if not re.search(rf"^{name} = ", text, re.MULTILINE)]


def test_python_examples_use_public_names() -> None:
    text = "".join(document.read_text("utf-8") for document in _DOCUMENTS)
    names = [
        name.strip()
        for names in re.findall(r"^from pipelines import (.+)$", text, re.MULTILINE)
        for name in names.split(",")
    ]
    names += re.findall(r"\bpipelines\.([\w.]+)\(", text)
    assert len(names) > 10
    assert not set(names) - set(vars(pipelines)["__all__"])


def test_architecture_names_each_folder_and_each_part_of_pipelines_and_training() -> None:
    folders = [path.parent for path in _ROOT.glob("[!.]*/__init__.py")]
    parts = [path for name in ("pipelines", "training") for path in (_ROOT / name).glob("[!_]*")]
    names = [path.name if path.suffix else f"{path.name}/" for path in (*folders, *parts)]
    text = _text("architecture.md")
    assert not [name for name in names if f"`{name}`" not in text]


def test_the_index_has_every_page() -> None:
    index = _text("README.md")
    pages = [page.name for page in (_ROOT / "docs").glob("*.md") if page.name != "README.md"]
    assert not [page for page in pages if f"]({page})" not in index]


def test_the_zoo_is_whole() -> None:
    rows = {row[0]: row for row in re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \|", _text("zoo.md"), re.MULTILINE)}
    assert {name: count for name, count in rows.values()} == {name: f"{of.parameters:,}" for name, of in ZOO.items()}
