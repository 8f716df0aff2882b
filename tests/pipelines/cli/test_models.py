"""`facelog models`: what it lists and shows without a download."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models.bundle import bundle_names, bundle_path
from models.zoo import ZOO
from pipelines.cli.models import models_app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(models_app, [str(argument) for argument in arguments])


def test_list_knows_every_bundle_and_network() -> None:
    result = call("list")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert all("shipped" in lines[name] for name in (*bundle_names(), "emotion-resnet", "age-gender-resnet"))
    for name, network in ZOO.items():
        assert f"{network.parameters:,}" in lines[name] and "×" in lines[name]
    assert all("train it" in lines[name] for name in ZOO if not name.endswith("-resnet"))


def test_list_as_json() -> None:
    rows = {row["name"]: row for row in json.loads(call("list", "--json").stdout)}
    assert set(rows) == {*bundle_names(), *ZOO}
    assert rows["emotion-hog-landmarks"]["inputs"] == {"chip": [48, 48, 1], "hog_landmarks": [208]}
    assert rows["age-gender-wrn"]["gives"] == ["age", "gender"]
    assert rows["emotion-resnet"]["bundles"] == [name for name in bundle_names() if name.startswith("emotion")]


@pytest.mark.parametrize("name", ZOO)
def test_show_a_network(name: str) -> None:
    shown = " ".join(call("show", name).stdout.split())
    network = ZOO[name]
    assert f"{network.parameters:,}" in shown and network.source in shown and network.description in shown
    for output in network.outputs:
        assert f"gives {output.attribute}" in shown and ", ".join(output.classes) in shown


def test_show_says_what_a_network_sees() -> None:
    wrn, xception = (" ".join(call("show", name).stdout.split()) for name in ("age-gender-wrn", "mini-xception"))
    assert "enlarged by 40% on each side, stretched to 64 × 64, BGR" in wrn and "0 to 255" in wrn
    assert "101 probabilities: whole years, 0 to 100" in wrn and "2 probabilities: female, male" in wrn
    assert "box, stretched to 64 × 64, grey" in xception and "bytes to -1 … 1" in xception


def test_show_a_network_as_json() -> None:
    shown = json.loads(call("show", "age-cnn7", "--json").stdout)
    assert (shown["name"], shown["kind"], shown["parameters"]) == ("age-cnn7", "network", 422_695)
    assert shown["inputs"] == {"chip": [200, 200, 1]} and shown["geometry"]["channels"] == "grey"
    assert shown["outputs"][0]["units"] == 7 and shown["outputs"][0]["ranges"][-1] == [66, 116]


@pytest.mark.parametrize("by", [str, bundle_path], ids=["name", "path"])
@pytest.mark.parametrize("name", bundle_names())
def test_show_a_bundle(name: str, by: type) -> None:
    card = json.loads((bundle_path(name) / "card.json").read_text("utf-8"))
    shown = " ".join(call("show", by(name)).stdout.split())
    assert f"{card['parameters']:,}" in shown and card["sha256"] in shown
    assert " ".join(card["limits"].split()) in shown
    assert all(f"{key} {value:.4g}" in shown for key, value in card["figures"].items())
    as_json = json.loads(call("show", by(name), "--json").stdout)
    assert as_json["kind"] == "bundle" and as_json["inputs"]["chip"][0] == as_json["geometry"]["size"]
    assert as_json["figures"] == card["figures"] and as_json["source"]


def test_an_unknown_name_is_one_sentence_and_2() -> None:
    result = call("show", "nonsense")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "'nonsense'" in result.stderr and "mini-xception" in result.stderr


def test_a_damaged_card_is_one_sentence_and_1(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{}")
    result = call("show", tmp_path)
    assert result.exit_code == 1 and "card" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.usefixtures("unconverted")
def test_import_makes_a_bundle_that_can_be_shown(tmp_path: Path) -> None:
    from models.networks.xception import mini_xception
    from models.runtime import configure_tensorflow
    from tests.models.test_import_keras2 import with_weights, write_keras2

    configure_tensorflow("cpu")
    file = write_keras2(tmp_path / "mini.hdf5", with_weights(mini_xception(size=48)), size=48)
    result = call("import", file, "--as", "mini-xception", "--out", tmp_path / "mine")
    assert result.exit_code == 0 and "58,423" in result.stdout
    assert json.loads(call("show", tmp_path / "mine", "--json").stdout)["architecture"] == "mini-xception"


def test_import_of_something_else_is_one_sentence_and_2(tmp_path: Path) -> None:
    (tmp_path / "text.hdf5").write_text("weights")
    result = call("import", tmp_path / "text.hdf5", "--as", "mini-xception", "--out", tmp_path / "mine")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "not an HDF5 file" in result.stderr


def test_list_and_show_are_quick() -> None:
    code = (
        "import sys\nfrom pipelines.cli.models import models_app\n"
        "for call in (['list'], ['show', 'age-vgg16']): models_app(call, standalone_mode=False)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
