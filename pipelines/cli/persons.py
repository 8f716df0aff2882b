"""`facelog persons`: who appears where in an archive."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console

from pipelines.cli.options import Embedding, StorageOptions, use_stores
from pipelines.cli.removing import AsJson, Dir, Yes, agreed_to, lines_console
from pipelines.cli.terminal import exit_on_error
from pipelines.words import counted

_UPDATE = "update"


class _WithUpdate(typer.core.TyperGroup):
    """`facelog persons DIR` means `facelog persons update DIR`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [_UPDATE, *args]
        return super().parse_args(ctx, args)


persons_app = typer.Typer(
    help="Persons across an archive (biometric data; see docs/persons.md). `facelog persons DIR` finds them in videos "
    "that were analyzed with --persons archive.",
    no_args_is_help=True,
    cls=_WithUpdate,
)

Person = Annotated[int, typer.Argument(metavar="PERSON", help="Number of the person.", min=0, show_default=False)]
OfModel = Annotated[
    Embedding | None,
    typer.Option(help="Which embeddings, where DIR has those of several models.", show_default=False),
]


@persons_app.command(_UPDATE)
def update(
    out: Dir,
    embedding: OfModel = None,
    same_above: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="LIKENESS",
            help="Mean likeness from which new tracks are a known or a new person's. "
            "\\[default: the embedding's; sface: 0.45]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    storage_options: StorageOptions = None,
) -> None:
    """Find the persons in DIR: new videos join what is known, and nobody gets another number.

    Tables: DIR/persons/persons.parquet and appearances.parquet, views of facelog query.

        facelog persons results
    """
    with exit_on_error():
        from pipelines.persons.update import find_persons

        use_stores(storage_options)
        done = find_persons(out, embedding=embedding and embedding.value, same_above=same_above)
        if as_json:
            print(json.dumps(done.__dict__, indent=2))
            return
        console = lines_console()
        console.print(
            f"{counted(done.persons, 'person')} ({done.new_persons} new) in {counted(done.tracks, 'track')} "
            f"({done.new_tracks} new, {done.gone_tracks} gone)"
        )
        if done.decisions:
            lost = f", {done.lost_decisions} about tracks that are not here" if done.lost_decisions else ""
            console.print(f"{counted(done.decisions, 'decision')} applied{lost}")


@persons_app.command("name")
def name_(
    person: Person,
    name: Annotated[str, typer.Argument(metavar="NAME", help="An empty one takes the name away.")],
    out: Dir,
    storage_options: StorageOptions = None,
) -> None:
    """Give a person a name.

    facelog persons name 12 "Speaker A" results
    """
    with exit_on_error():
        from pipelines.persons.decide import name_person

        use_stores(storage_options)
        made = name_person(person, name, out)
        lines_console().print(f"decision {made.number}: person {person} is {made.name or 'without a name'}")


@persons_app.command("merge")
def merge(
    person: Person,
    other: Annotated[int, typer.Argument(metavar="OTHER", help="The person that becomes the first.", min=0)],
    out: Dir,
    storage_options: StorageOptions = None,
) -> None:
    """Make two persons one, which keeps the first number.

    facelog persons merge 12 31 results
    """
    with exit_on_error():
        from pipelines.persons.decide import merge_persons

        use_stores(storage_options)
        made = merge_persons(person, other, out)
        moved = counted(len(made.tracks), "track")
        lines_console().print(f"decision {made.number}: person {other} is person {person}; {moved}")


@persons_app.command("split")
def split(
    person: Person,
    out: Dir,
    tracks: Annotated[
        list[str],
        typer.Option("--track", metavar="VIDEO:TRACK", help="A track that is another person; may be repeated."),
    ],
    storage_options: StorageOptions = None,
) -> None:
    """Make some tracks of a person a new person; all others stay.

    facelog persons split 12 results --track talk.mp4:3 --track talk.mp4:7
    """
    with exit_on_error():
        from pipelines.persons.decide import split_person

        use_stores(storage_options)
        made = split_person(person, tracks, out)
        moved = counted(len(made.tracks), "track")
        lines_console().print(f"decision {made.number}: {moved} of person {person} are person {made.other_id}")


@persons_app.command("not")
def not_(
    person: Person,
    track: Annotated[str, typer.Argument(metavar="VIDEO:TRACK", help="A track of the person.", show_default=False)],
    out: Dir,
    storage_options: StorageOptions = None,
) -> None:
    """Say that a track is not this person: it becomes that of another one, if it is alike, or a new one.

    facelog persons not 12 talk.mp4:3 results
    """
    with exit_on_error():
        from pipelines.persons.decide import not_person

        use_stores(storage_options)
        made = not_person(person, [track], out)
        lines_console().print(f"decision {made.number}: {track} is person {made.other_id}")


@persons_app.command("undo")
def undo(
    out: Dir,
    number: Annotated[int | None, typer.Option(min=1, help="Of the decision. \\[default: the last]")] = None,
    storage_options: StorageOptions = None,
) -> None:
    """Take a decision back."""
    with exit_on_error():
        from pipelines.persons.decide import undo_decision

        use_stores(storage_options)
        undone = undo_decision(out, number)
        lines_console().print(f"decision {undone.number} ({undone.kind}) is undone")


@persons_app.command("export")
def export(
    out: Dir,
    file: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="[default: standard output]")] = None,
    storage_options: StorageOptions = None,
) -> None:
    """Write all decisions as CSV. Tracks are named by the content of their videos, so it holds on every machine."""
    with exit_on_error():
        from pipelines.persons.decide import export_decisions
        from schemas.storage import write_bytes

        use_stores(storage_options)
        text = export_decisions(out)
        if file is None:
            print(text, end="")
        else:
            write_bytes(str(file), text.encode())


@persons_app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV of persons export.", show_default=False)],
    out: Dir,
    storage_options: StorageOptions = None,
) -> None:
    """Apply decisions that were exported elsewhere."""
    with exit_on_error():
        from pipelines.persons.decide import import_decisions

        use_stores(storage_options)
        new, lost = import_decisions(file, out)
        lines_console().print(f"{counted(new, 'decision')} new, {lost} of them about tracks that are not here")


@persons_app.command("find")
def find(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="Picture of one face.", show_default=False)],
    out: Dir,
    limit: Annotated[int, typer.Option(min=1, help="Most matches.")] = 20,
    embedding: OfModel = None,
    as_json: AsJson = False,
    storage_options: StorageOptions = None,
) -> None:
    """Say where the person in a picture appears, best first, with how sure. Nothing of the picture is kept.

    facelog persons find portrait.jpg results
    """
    with exit_on_error():
        from pipelines.persons.find import find_person

        use_stores(storage_options)
        matches = find_person(picture, out, limit=limit, embedding=embedding and embedding.value)
        if as_json:
            print(json.dumps([match.__dict__ for match in matches], indent=2))
            return
        console = lines_console()
        for match in matches:
            who = "" if match.person_id is None else f"  person {match.person_id}"
            name = f" ({match.name})" if match.name else ""
            when = f"{match.start_time:.1f}-{match.end_time:.1f} s"
            console.print(f"{match.similarity:.2f} {match.how_sure:8} {match.uri}:{match.track_id}  {when}{who}{name}")
        if not matches:
            console.print("nobody is alike")


@persons_app.command("enroll")
def enroll(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the person.", show_default=False)],
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="One face each.", show_default=False)],
    out: Dir,
    embedding: OfModel = None,
    storage_options: StorageOptions = None,
) -> None:
    """Make a person of pictures, which facelog persons DIR then finds in new videos. The embeddings are kept.

    facelog persons enroll "Speaker A" a1.jpg a2.jpg results
    """
    with exit_on_error():
        from pipelines.persons.find import enroll as make

        use_stores(storage_options)
        person = make(name, pictures, out, embedding=embedding and embedding.value)
        lines_console().print(f"person {person} is {name}")


@persons_app.command("forget")
def forget(
    what: Annotated[
        list[str], typer.Argument(metavar="[PERSON] DIR", help="Number of the person, and DIR; with --all, DIR alone.")
    ],
    every: Annotated[
        bool, typer.Option("--all", help="All persons, embeddings and decisions; then DIR alone.")
    ] = False,
    yes: Yes = False,
    storage_options: StorageOptions = None,
) -> None:
    """Remove a person everywhere, or all that is biometric.

    facelog persons forget 12 results
    facelog persons forget --all results
    """
    console: Console = lines_console()
    with exit_on_error():
        from pipelines.persons.forgetting import forget_all, forget_person
        from schemas.errors import UsageError

        use_stores(storage_options)
        if len(what) != (1 if every else 2) or not (every or what[0].isdigit()):
            raise UsageError("Say `facelog persons forget PERSON DIR`, or `facelog persons forget --all DIR`.")
        question = f"Remove all persons and embeddings of {what[-1]}?" if every else f"Remove person {what[0]}?"
        if not agreed_to(question, yes=yes):
            console.print("nothing was removed")
            return
        done = forget_all(what[0]) if every else forget_person(int(what[0]), what[1])
        files = f", {counted(done.files, 'file')}" if done.files else ""
        console.print(f"removed: {counted(done.persons, 'person')}, {counted(done.tracks, 'track')}{files}")
        console.print("out of reach: compact copies, exports, reports in other folders, backups, and logs")
