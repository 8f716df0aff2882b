"""`facelog models`: list and show bundles and networks; make bundles from files of older tools."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipelines.cli.terminal import exit_on_error

if TYPE_CHECKING:
    from models.cards import Card, Output
    from models.geometry import Geometry
    from models.zoo import Network

models_app = typer.Typer(help="The models that facelog knows.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print only JSON.")]


@models_app.command("list")
def list_models(as_json: _Json = False) -> None:
    """List the bundles that come with facelog, and the networks of the zoo, which you can train."""
    console = Console()
    with exit_on_error():
        from models.zoo import ZOO

        cards = _shipped_cards()
        rows = [_bundle_row(card) for card in cards] + [_network_row(network, cards) for network in ZOO.values()]
        if as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        table = Table("name", "gives", "input", "parameters", "state", box=None)
        for column in table.columns[:4]:
            column.no_wrap = True
        table.columns[3].justify = "right"
        for row in rows:
            state = "shipped" if row["bundles"] else "train it"
            table.add_row(row["name"], ", ".join(row["gives"]), _shapes(row["inputs"]), f"{row['parameters']:,}", state)
        console.print(table)


@models_app.command("show")
def show_model(
    name: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="Name or folder of a bundle, or name of a network of the zoo.")
    ],
    as_json: _Json = False,
) -> None:
    """Show the inputs and outputs of a model; for a bundle also its training data, figures and limits."""
    console = Console()
    with exit_on_error():
        from models.cards import Card

        model = _find(name)
        if as_json:
            fields = _card_json(model) if isinstance(model, Card) else _network_json(model)
            typer.echo(json.dumps(fields, indent=2, ensure_ascii=False))
            return
        table = Table.grid(padding=(0, 2))
        for key, text in (_card_lines(model) if isinstance(model, Card) else _network_lines(model)).items():
            table.add_row(key, text)
        console.print(table, markup=False, highlight=False)


@models_app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of Keras 2: a whole model, or weights only.")],
    network: Annotated[
        str, typer.Option("--as", metavar="NAME", help="The network in the file: mini-xception or age-gender-wrn.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the bundle; created if needed.")],
) -> None:
    """Make a bundle from a file that an older tool trained.

    You can use it like any other model. Its probabilities are those of the network, without calibration.

        facelog models import fer2013_mini_XCEPTION.102-0.66.hdf5 --as mini-xception --out my-emotion
        facelog analyze archive/ --out results --model my-emotion
    """
    console = Console()
    with exit_on_error():
        from models.import_keras2 import import_keras2

        card = import_keras2(file, network, out)
        console.print(f"{out}: {network}, {card.parameters:,} parameters", markup=False, highlight=False)


def _shipped_cards() -> "list[Card]":
    from models.bundle import bundle_names, bundle_path
    from models.cards import read_card

    return [read_card(bundle_path(name)) for name in bundle_names()]


def _find(name: str) -> "Card | Network":
    """The card of a bundle, or the network of this name."""
    from models.bundle import bundle_names, bundle_path
    from models.cards import read_card
    from models.zoo import ZOO
    from schemas.errors import BundleError, UsageError

    try:
        folder = bundle_path(name)
    except BundleError:
        if name in ZOO:
            return ZOO[name]
        known = ", ".join((*bundle_names(), *ZOO))
        raise UsageError(f"There is no model {name!r}: neither a bundle's folder nor one of {known}.") from None
    return read_card(folder)


def _network_of(card: "Card") -> "Network | None":
    """The network of the zoo that a bundle holds; None if it holds another one."""
    from models.zoo import ZOO

    return next((of for of in ZOO.values() if card.architecture in (of.name, of.build.__name__)), None)


def _bundle_row(card: "Card") -> dict[str, Any]:
    return {
        "name": card.name,
        "kind": "bundle",
        "gives": card.attributes,
        "inputs": _card_inputs(card),
        "parameters": card.parameters,
        "bundles": [card.name],
    }


def _network_row(network: "Network", cards: "Sequence[Card]") -> dict[str, Any]:
    return {
        "name": network.name,
        "kind": "network",
        "gives": network.attributes,
        "inputs": network.inputs,
        "parameters": network.parameters,
        "bundles": [card.name for card in cards if _network_of(card) is network],
    }


def _card_inputs(card: "Card") -> dict[str, tuple[int, ...]]:
    from models.networks.cnns import FEATURES

    size = card.geometry.size
    chip = (size, size, 1 if card.geometry.channels == "grey" else 3)
    return {"chip": chip} | ({card.second_input: (FEATURES,)} if card.second_input else {})


def _card_json(card: "Card") -> dict[str, Any]:
    network = _network_of(card)
    own = {"kind": "bundle", "inputs": _card_inputs(card), "source": network.source if network else None}
    return card.model_dump(mode="json") | own | {"outputs": _outputs_json(card.outputs)}


def _outputs_json(outputs: "Sequence[Output]") -> list[dict[str, Any]]:
    return [output.model_dump(mode="json") | {"units": _units(output)} for output in outputs]


def _network_json(network: "Network") -> dict[str, Any]:
    import dataclasses

    fields = network.card_fields()
    return {
        "name": network.name,
        "kind": "network",
        **fields,
        "geometry": dataclasses.asdict(fields["geometry"]),
        "outputs": _outputs_json(network.outputs),
        "inputs": network.inputs,
        "parameters": network.parameters,
        "source": network.source,
        "training": dataclasses.asdict(network.training),
        "bundles": _network_row(network, _shipped_cards())["bundles"],
    }


def _card_lines(card: "Card") -> dict[str, str]:
    network = _network_of(card)
    lines = {
        "name": card.name,
        "": card.description,
        "network": card.architecture,
        "source": network.source if network else "not from the zoo",
        "parameters": f"{card.parameters:,}",
        "input": _shapes(_card_inputs(card)),
        "chip": _geometry(card.geometry),
        "scaling": _scaling(card.scale, card.offset),
    }
    lines |= {_output_name(output): _output(output) for output in card.outputs}
    if card.unknown_below is not None:
        lines["unknown"] = f"gender below {card.unknown_below:g}"
    lines |= {
        "trained on": card.training_data,
        "calibrated on": card.calibration_data,
        "tested on": card.test_data,
        "figures": "\n".join(f"{name} {value:.4g}" for name, value in card.figures.items()) or "none",
        "limits": card.limits,
        "licences": card.licence_notes,
        "sha256": card.sha256,
        "on the CPU": _on_the_cpu(card),
    }
    return lines


def _on_the_cpu(card: "Card") -> str:
    """What runs a bundle on the CPU, and how far that agrees with the network as it was trained."""
    from models.bundle import RUNTIMES, runtime_of, weights_sha256

    runtime = RUNTIMES[runtime_of(card)]
    if card.litert is None:
        return "LiteRT, once it is converted: at its first use"
    figures = "\n".join(f"{name} {value:.4g}" for name, value in card.litert.figures.items())
    compared = f"\ncompared with TensorFlow on {card.litert.compared_on}\n{figures}" if figures else ""
    if card.litert.refused:
        return f"{runtime}: {card.litert.refused}{compared}"
    return f"{runtime}, weights of 8 bits, sha256 {weights_sha256(card)}{compared}"


def _network_lines(network: "Network") -> dict[str, str]:
    bundles = _network_row(network, _shipped_cards())["bundles"]
    training = network.training
    lines = {
        "name": network.name,
        "": network.description,
        "source": network.source,
        "parameters": f"{network.parameters:,}",
        "input": _shapes(network.inputs),
        "chip": _geometry(network.geometry),
        "scaling": _scaling(network.scale, network.offset),
    }
    lines |= {_output_name(output): _output(output) for output in network.outputs}
    stop = f", early stopping after {training.patience}" if training.patience else ""
    lines |= {
        "training": f"up to {training.epochs} epochs{stop}; {training.optimizer}, learning rate "
        f"{training.learning_rate:g}, {training.schedule}; batches of {training.batch}",
        "trained": f"shipped as {', '.join(bundles)}"
        if bundles
        else f"not here: facelog train {network.name} --data …",
    }
    return lines


def _shapes(inputs: Mapping[str, Sequence[int]]) -> str:
    return " and ".join("×".join(map(str, shape)) for shape in inputs.values())


def _geometry(geometry: "Geometry") -> str:
    from models.geometry import BoxGeometry

    size, colours = f"{geometry.size} × {geometry.size}", geometry.channels.replace("rgb", "RGB").replace("bgr", "BGR")
    if isinstance(geometry, BoxGeometry):
        share = f" enlarged by {geometry.enlarge:.0%} on each side" if geometry.enlarge else ""
        return f"the detector's box{share}, stretched to {size}, {colours}"
    return f"the face aligned by its landmarks, {size}, {colours}"


def _scaling(scale: float, offset: float) -> str:
    if (scale, offset) == (1, 0):
        return "bytes as they are, 0 to 255"
    return f"bytes to {offset:g} … {255 * scale + offset:g}"


def _output_name(output: "Output") -> str:
    return f"gives {output.attribute}"


def _units(output: "Output") -> int:
    """How many numbers an output has for each chip."""
    from models.networks import AGES

    if output.attribute == "age":
        return 1 if output.kind == "years" else len(output.ranges) or AGES
    return len(output.classes)


def _output(output: "Output") -> str:
    units = _units(output)
    if output.kind == "years":
        return "1 number: years"
    what = f"{units} {output.kind}: "
    if output.attribute == "age" and output.ranges:
        return what + "ages " + ", ".join(f"{low:g}–{high:g}" for low, high in output.ranges)
    if output.attribute == "age":
        return what + f"whole years, 0 to {units - 1}"
    return what + ", ".join(output.classes)
