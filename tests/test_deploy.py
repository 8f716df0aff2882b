"""The files in deploy/ against facelog and each other; deploy/README.md says how they were checked beyond that."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from runners.worker_pool import PORT

_ROOT = Path(__file__).parents[1]
_DEPLOY = _ROOT / "deploy"
_DOCKERFILE = (_DEPLOY / "docker" / "Dockerfile").read_text("utf-8")
_UNIT = (_DEPLOY / "systemd" / "facelog-worker.service").read_text("utf-8")
_README = (_DEPLOY / "README.md").read_text("utf-8")


def _compose() -> Any:
    return yaml.safe_load((_DEPLOY / "docker" / "compose.yaml").read_text("utf-8"))["services"]


def _resources() -> dict[tuple[str, str], Any]:
    """Kubernetes' objects by kind and name."""
    files = sorted((_DEPLOY / "kubernetes").glob("*.yaml"))
    found = [resource for file in files for resource in yaml.safe_load_all(file.read_text("utf-8"))]
    return {(resource["kind"], resource["metadata"]["name"]): resource for resource in found}


def _pod(name: str) -> Any:
    return _resources()["Deployment", name]["spec"]["template"]["spec"]


def _properties(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


def _flink_settings() -> Iterator[tuple[str, dict[str, str]]]:
    """What each Flink process is given, by the name of its role."""
    for service in _compose().values():
        if text := service.get("environment", {}).get("FLINK_PROPERTIES"):
            yield service["command"], _properties(text)
    data = _resources()["ConfigMap", "facelog-flink"]["data"]
    yield "jobmanager", _properties(data["job-manager"])
    yield "taskmanager", _properties(data["task-manager"])


def _worker_calls() -> Iterator[list[str]]:
    """The arguments of each call of facelog."""
    for line in re.findall(r"/opt/facelog/bin/facelog ([^;\n]*)", _UNIT):
        yield shlex.split(re.sub(r" 2>.*", "", line))
    for line in re.findall(r"^(?:HEALTHCHECK .*)?CMD (\[.*\])$", _DOCKERFILE, re.MULTILINE):
        yield [word for word in yaml.safe_load(line) if word != "facelog"]
    for name, service in _compose().items():
        if name.startswith("worker-"):
            yield service["command"]
    (sidecar,) = _pod("facelog-task-manager")["initContainers"]
    yield sidecar["args"]
    for probe in ("startupProbe", "livenessProbe"):
        program, *arguments = sidecar[probe]["exec"]["command"]
        assert program == "facelog"
        yield arguments


def test_worker_is_called_as_it_wants_to_be() -> None:
    from pipelines.cli import app

    calls = list(_worker_calls())
    assert len(calls) == 9 and sum("--check" in call for call in calls) == 4
    command = typer.main.get_command(app).commands["worker"]  # type: ignore[attr-defined]
    for name, *arguments in calls:
        context = command.make_context("facelog", arguments)
        assert name == "worker" and context.params["port"] == PORT
        assert context.params["bind"] == "localhost"  # whoever reaches the port can run code


def test_flink_restarts_jobs() -> None:
    settings = [settings for role, settings in _flink_settings() if role == "jobmanager"]
    assert len(settings) == 2
    for each in settings:
        assert each["restart-strategy.type"] == "fixed-delay"
        assert int(each["restart-strategy.fixed-delay.attempts"]) > 1


def test_task_managers_find_their_job_manager() -> None:
    services, kubernetes = _compose(), _resources()
    addresses = [settings["jobmanager.rpc.address"] for _, settings in _flink_settings()]
    assert len(addresses) == 5
    assert all(address in services or ("Service", address) in kubernetes for address in addresses)
    ports = {port["port"] for port in kubernetes["Service", "facelog-job-manager"]["spec"]["ports"]}
    assert ports == {6123, 6124, 8081}  # the job manager's, its blobs', and the one that clients use
    labels = kubernetes["Service", "facelog-job-manager"]["spec"]["selector"]
    assert kubernetes["Deployment", "facelog-job-manager"]["spec"]["template"]["metadata"]["labels"] == labels


def test_each_task_manager_has_a_pool_at_its_localhost() -> None:
    services = _compose()
    networks = [service["network_mode"] for name, service in services.items() if name.startswith("task-manager-")]
    assert len(networks) == len(set(networks)) == 2
    assert networks == [service["network_mode"] for name, service in services.items() if name.startswith("worker-")]
    for network in networks:
        holder = network.removeprefix("service:")
        assert "network_mode" not in services[holder]
        assert (
            f"taskmanager.host: {holder}"
            in services[holder.replace("host", "task-manager")]["environment"]["FLINK_PROPERTIES"]
        )


def test_a_pod_has_a_cpu_for_each_slot() -> None:
    settings = _properties(_resources()["ConfigMap", "facelog-flink"]["data"]["task-manager"])
    (sidecar,) = _pod("facelog-task-manager")["initContainers"]
    assert sidecar["restartPolicy"] == "Always"  # else the task manager would wait for its end
    assert sidecar["resources"]["requests"]["cpu"] == int(settings["taskmanager.numberOfTaskSlots"])


def test_there_is_one_version_of_flink() -> None:
    files = [path for path in _DEPLOY.rglob("*") if path.is_file()]
    images = {image for path in files for image in re.findall(r"flink:\d[\w.-]*", path.read_text("utf-8"))}
    assert images == {"flink:1.20-java17"}
    assert "flink:1.20-java17" in _README


def test_the_image_has_what_the_package_is_built_from() -> None:
    ignored = (_DEPLOY / "docker" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    packages = re.search(r"include = \[(.*)\]", (_ROOT / "pyproject.toml").read_text("utf-8"))
    assert packages
    assert kept == {"LICENSE", "README.md", "pyproject.toml", "setup.py", *re.findall(r'"(\w+)\*"', packages[1])}
    assert all((_ROOT / name).exists() for name in kept)


@pytest.mark.parametrize("path", sorted(re.findall(r"\]\((?!https?:)([^)#]+)\)", _README)))
def test_links_lead_somewhere(path: str) -> None:
    assert (_DEPLOY / path).exists()
