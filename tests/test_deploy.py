"""The files in deploy/ against facelog and each other; deploy/README.md says how they were checked beyond that."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam
import pytest
import typer.main
import yaml

from runners.flink.worker_pool import PORT

_ROOT = Path(__file__).parents[1]
_DEPLOY = _ROOT / "deploy"
_DOCKERFILE = (_DEPLOY / "docker" / "Dockerfile").read_text("utf-8")
_UNIT = (_DEPLOY / "systemd" / "facelog-worker.service").read_text("utf-8")
_README = (_DEPLOY / "README.md").read_text("utf-8")


def _image(target: str) -> str:
    """The part of the Dockerfile that makes it."""
    parts = re.split(r"^(?=FROM )", _DOCKERFILE, flags=re.MULTILINE)
    (part,) = [part for part in parts if re.match(rf"FROM \S+ AS {target}$", part, re.MULTILINE)]
    return part


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
    for line in re.findall(r"^(?:HEALTHCHECK .*)?CMD (\[.*\])$", _image("worker"), re.MULTILINE):
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
    from pipelines.cli.main import app

    calls = list(_worker_calls())
    assert len(calls) == 9 and sum("--check" in call for call in calls) == 4
    command = typer.main.get_command(app).commands["worker"]  # type: ignore[attr-defined]
    for name, *arguments in calls:
        context = command.make_context("facelog", arguments)
        assert name == "worker" and context.params["port"] == PORT
        assert context.params["bind"] == "localhost"  # whoever reaches the port can run code


def _client_calls() -> Iterator[list[str]]:
    """The arguments of each run that is started in a container."""
    (call,) = re.findall(
        r"run --rm client \\\n# +(.*)$", (_DEPLOY / "docker" / "compose.yaml").read_text("utf-8"), re.M
    )
    yield shlex.split(call)
    for call in re.findall(r"run --(?:build --)?rm client (analyze .*?[^\\])\n", _README, re.DOTALL):
        yield shlex.split(call.replace("\\\n", " "))
    (client,) = _run()["spec"]["template"]["spec"]["containers"]
    yield client["args"]


def _run() -> Any:
    return yaml.safe_load((_DEPLOY / "kubernetes" / "run" / "analyze.yaml").read_text("utf-8"))


def test_clients_start_a_run_on_the_cluster_beside_them() -> None:
    from pipelines.cli.main import app

    calls = list(_client_calls())
    assert len(calls) == 4
    command = typer.main.get_command(app).commands["analyze"]  # type: ignore[attr-defined]
    masters = []
    for name, *arguments in calls:
        options = command.make_context("facelog", arguments).params
        assert (name, options["runner"]) == ("analyze", "flink")
        masters.append(options["flink_master"])
    assert masters[:3] == ["job-manager:8081"] * 3 and "job-manager" in _compose()
    address, _, port = masters[3].partition(":")
    assert {"name": "rest", "port": int(port)} in _resources()["Service", address]["spec"]["ports"]


def test_a_client_has_what_hands_a_job_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from apache_beam.utils.subprocess_server import JavaJarServer

    client = _image("client")
    assert "FROM worker" in client and "openjdk-17-jre-headless" in client
    version = re.search(r"^ARG FLINK_VERSION=(\S+)$", client, re.MULTILINE)
    assert version and f"flink:{version[1]}-java17" in _README
    (target,) = re.findall(r"path_to_beam_jar\('(.*?)'\)", client)
    jar = JavaJarServer.path_to_beam_jar(target.replace("${FLINK_VERSION}", version[1]))
    assert jar.endswith(f"beam-runners-flink-{version[1]}-job-server-{apache_beam.__version__}.jar")


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_a_run_on_kubernetes_is_done_though_some_files_are_bad(status: int, ends: int, tmp_path: Path) -> None:
    (tmp_path / "facelog").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "facelog").chmod(0o755)
    (client,) = _run()["spec"]["template"]["spec"]["containers"]
    tini, end, *command = client["command"]
    assert (tini, end) == ("tini", "--")
    done = subprocess.run([*command, *client["args"]], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == ends


def test_the_object_store_is_where_the_readme_says_it_is() -> None:
    store = _compose()["s3"]
    assert store["profiles"] == ["s3"]  # else it would run unasked
    port = store["command"][1].removeprefix(":")
    assert f"AWS_ENDPOINT_URL=http://s3:{port}" in _README
    assert any(volume.endswith(":/buckets") for volume in store["volumes"]) and store["command"][-1] == "/buckets"
    get = (_ROOT / "deploy" / "flink_cluster" / "get.sh").read_text("utf-8")
    version = re.search(r"^VERSITYGW=(\S+)$", get, re.MULTILINE)
    assert version and f"versity/versitygw:{version[1]}" in store["image"]


def test_flink_restarts_jobs_and_does_not_stand_still() -> None:
    managers = [settings for role, settings in _flink_settings() if role == "taskmanager"]
    assert managers
    for each in managers:
        assert each["env.java.opts.taskmanager"] == "-XX:+ExitOnOutOfMemoryError"
        assert each["taskmanager.jvm-exit-on-oom"] == "true"
    settings = [settings for role, settings in _flink_settings() if role == "jobmanager"]
    assert len(settings) == 2
    for each in settings:
        assert each["restart-strategy.type"] == "fixed-delay"
        assert int(each["restart-strategy.fixed-delay.attempts"]) > 1


def test_task_managers_have_network_buffers_for_all_slots() -> None:
    settings = [settings for role, settings in _flink_settings() if role == "taskmanager"]
    assert len(settings) == 3
    for each in settings:
        slots = int(re.sub(r"\$\{\w+:-(\d+)\}", r"\1", each["taskmanager.numberOfTaskSlots"]))
        assert int(each["taskmanager.memory.network.min"].removesuffix("m")) >= 64 * slots


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
    files = [path for path in _DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc"]
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
