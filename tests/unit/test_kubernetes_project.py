"""What the objects of deploy/k8s name is in this project: settings, paths, commands, images, files of the Secret."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ai.core.errors import BadSetting
from ai.engines.settings import WeightsSettings
from ai.rtdetr.processing import spec
from ai.serving.app import create_app
from ai.serving.settings import ServiceSettings
from ai.serving.settings import read_settings as read_service_settings
from ai.triton import models
from ai.triton.embedded.settings import EmbeddedSettings
from backend import cli
from backend.api.app import create_api
from backend.api.keys import Keys, Role
from backend.settings import Settings, read_settings
from deploy.docker import inference
from tests.manifests import (
    BASE,
    K8S,
    LEGACY,
    RETIRED,
    Built,
    built,
    containers_of,
    environment_of,
    needs_kubectl,
    pod_of,
    probes_of,
    serving,
)

pytestmark = needs_kubectl

DEPLOY = K8S.parent
DOCKER = DEPLOY / "docker"
PAGE = DEPLOY.parent / "docs" / "kubernetes.md"
COMPOSE = DEPLOY.parent / "docker-compose.prod.yml"
OF_IMAGES = {  # what is no setting of ours, and who reads it
    "OMP_NUM_THREADS",  # OpenMP, under torch
    "TRITON_MODELS", "TRITON_ADMIN_KEY_FILE",  # deploy/docker/triton.sh
}  # fmt: skip
INFERENCE = "/opt/crossfade/inference.py"


@pytest.fixture(params=[BASE, RETIRED], ids=lambda folder: folder.name)
def house(request) -> Built:
    return built(request.param)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> dict[str, str]:
    """The Secret, of what deploy/secrets.sh makes."""
    root = tmp_path_factory.mktemp("root")
    folder = root / "deploy" / "k8s" / "secrets"
    folder.mkdir(parents=True)
    shutil.copy(DEPLOY / "secrets.sh", root / "deploy")
    shutil.copy(DEPLOY.parent / ".env.prod.example", root)
    shutil.copy(K8S / "secrets" / "kustomization.yaml", folder)
    owner = ["--owner", "10001:10001"] if os.geteuid() == 0 else []
    subprocess.run(["bash", root / "deploy" / "secrets.sh", *owner], check=True, capture_output=True)
    for file in yaml.safe_load((folder / "kustomization.yaml").read_text())["secretGenerator"][0]["files"]:
        shutil.copy(root / "prod" / "secrets" / file, folder)
    (secret,) = built(folder).objects
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "crossfade")
    return {key: (folder / key).read_text() for key in secret["data"]}


# --- what fits this project -------------------------------------------------------------------------------


def test_every_variable_is_a_setting_of_the_process_that_gets_it(house):
    for name, workload in house.workloads.items():
        for container in containers_of(workload):
            for variable in environment_of(container, house):
                assert variable in OF_IMAGES or variable in _settings_of(name), (name, variable)


@pytest.mark.parametrize(("folder", "legacy"), [(BASE, True), (RETIRED, False)])
def test_the_backend_starts_with_what_it_is_told(folder, legacy, secrets, monkeypatch, tmp_path):
    """With the files of the Secret where they are mounted, but for the root."""
    house = built(folder)
    container = serving(house, "backend")
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}["secrets"]
    monkeypatch.chdir(tmp_path)
    for key, value in secrets.items():
        (tmp_path / key).write_text(value)
    for variable, value in environment_of(container, house).items():
        monkeypatch.setenv(variable, value.replace(mounted, str(tmp_path)))
    settings = read_settings()
    assert settings.legacy_enabled is legacy
    assert settings.store_url == secrets["rollout_store"].strip()
    assert secrets["redis_password"].strip() != ""
    assert not Keys.of(settings).detection_is_open
    assert (settings.host, settings.port) == ("0.0.0.0", container["ports"][0]["containerPort"])
    targets = {settings.triton_url.removeprefix("dns:///"), "redis:6379"}
    targets |= {url.removeprefix("http://") for url in settings.legacy_urls.values()} if legacy else set()
    assert targets <= {
        f"{service['metadata']['name']}:{port['port']}"
        for service in house.of_kind("Service")
        for port in service["spec"]["ports"]
    }


@pytest.mark.parametrize("name", LEGACY)
def test_a_legacy_service_starts_with_what_it_is_told(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    container = serving(built(BASE), name)
    for variable, value in environment_of(container, built(BASE)).items():
        monkeypatch.setenv(variable, value)
    settings = read_service_settings(f"{name.upper()}_", 1)
    assert (settings.host, settings.port) == ("0.0.0.0", container["ports"][0]["containerPort"])


def test_what_kubernetes_says_of_its_services_is_kept_from_the_pods(house, monkeypatch):
    """A Service `rtdetr` puts RTDETR_PORT=tcp://… into every pod that does not refuse it, and that is a setting."""
    monkeypatch.setenv("RTDETR_PORT", "tcp://10.0.0.7:8090")
    with pytest.raises(BadSetting, match="RTDETR_PORT"):
        read_service_settings("RTDETR_", 8090)
    assert all(pod_of(one)["enableServiceLinks"] is False for one in house.workloads.values())


def test_every_probe_asks_something_that_is_there(house):
    paths = {"backend": _paths(create_api(_nothing)), **dict.fromkeys(LEGACY, _legacy_paths())}
    for name, workload in house.workloads.items():
        for container, probe in probes_of(workload):
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            if "httpGet" in probe:
                assert probe["httpGet"]["path"] in paths[name]
                assert probe["httpGet"]["port"] in ports
            elif "tcpSocket" in probe:
                assert probe["tcpSocket"]["port"] in ports
            elif name == "redis":
                assert "redis-cli ping" in probe["exec"]["command"][-1]
            elif "/probe/triton_lives.py" in probe["exec"]["command"]:
                _require_lives(house, container, probe["exec"]["command"])
            else:
                _require_inference(name, container, probe)


def _require_inference(name: str, container: dict[str, Any], probe: dict[str, Any]) -> None:
    """The image's own health check, in the time that it takes at most."""
    _, script, kind, url, *asked = probe["exec"]["command"]
    dockerfile = "legacy" if name in LEGACY else name
    assert script == INFERENCE
    assert "deploy/docker/inference.py" in (DOCKER / f"{dockerfile}.Dockerfile").read_text()
    assert kind in inference.ASK
    assert url in {f"http://127.0.0.1:{port['containerPort']}" for port in container["ports"]}
    assert asked == ([] if kind == "legacy" else sorted(Settings().triton_models.values()))
    assert probe["timeoutSeconds"] > inference.TIMEOUT_S * max(1, len(asked))


def _require_lives(house: Built, container: dict[str, Any], command: list[str]) -> None:
    _, path, _, script, url, *asked = command
    folder, _, file = script.rpartition("/")
    assert folder in {one["mountPath"] for one in container["volumeMounts"]}
    assert file in house.configuration("triton-probe")
    assert path == f"PYTHONPATH={Path(INFERENCE).parent}"
    assert url == "http://127.0.0.1:8000"
    assert " ".join(asked) == environment_of(container, house)["TRITON_MODELS"]


def test_the_builder_of_models_gets_words_that_it_knows(house):
    (builder,) = pod_of(house.workloads["triton"])["initContainers"]
    python, module, *words = builder["command"][1:]
    assert (python, module) == ("-m", "ai.triton.models")
    assert models.parser().parse_args(words).engine == "torch"
    told, mounts = environment_of(builder, house), {one["mountPath"] for one in builder["volumeMounts"]}
    assert told["TRITON_REPOSITORY"] in mounts
    assert f"--model-repository={told['TRITON_REPOSITORY']}" in serving(house, "triton")["args"]


def test_every_python_module_that_is_started_exists(house):
    for workload in house.workloads.values():
        for container in containers_of(workload):
            command = container.get("command", [])
            if "-m" in command:
                assert importlib.util.find_spec(command[command.index("-m") + 1]) is not None


def test_compose_and_kubernetes_run_the_same(house):
    """The same images as the same user, started in the same way, with the same files of secrets."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name in house.workloads:
        service, container = services[name], serving(house, name)
        assert container["image"].removeprefix("registry.example.com/") == service["image"]
        told, files = environment_of(container, house), {}
        for variable in set(told) & set(service["environment"] if name != "redis" else ()):
            if variable.endswith("_FILE") or variable in {"HOST", "PORT", "CROSSFADE_VAR", "TRITON_MODELS"}:
                files[variable] = service["environment"][variable]
        assert files.items() <= told.items()
    assert set(services["triton"]["command"]) <= set(serving(house, "triton")["args"])
    assert (
        serving(house, "redis")["command"][-1].strip()
        == services["redis"]["command"][-1].replace("$$", "$").strip()
    )
    builder = pod_of(house.workloads["triton"])["initContainers"][0]
    assert builder["command"] == services["models"]["command"]
    assert (K8S / "base" / "core" / "redis.conf").read_text() == (DOCKER / "redis.conf").read_text()


def test_the_pods_run_as_the_user_of_their_image(house):
    for name, workload in house.workloads.items():
        if name != "redis":
            dockerfile = (DOCKER / f"{'legacy' if name in LEGACY else name}.Dockerfile").read_text()
            security = pod_of(workload)["securityContext"]
            assert f"\nUSER {security['runAsUser']}:{security['runAsGroup']}\n" in dockerfile


def test_the_folder_of_the_switch_is_the_one_that_the_backend_is_started_in(house):
    container = serving(house, "backend")
    (folder,) = [one["mountPath"] for one in container["volumeMounts"] if one["name"] == "switch"]
    assert shlex.split((DOCKER / "backend.Dockerfile").read_text().rpartition("WORKDIR ")[2])[0] == folder


def test_the_command_of_three_in_the_morning_has_the_admins_key(secrets, tmp_path):
    """The line of the page, with a `crossfade` that says what it was given."""
    (line,) = [
        line
        for line in PAGE.read_text().splitlines()
        if "rollout rollback --reason" in line and "exec" in line
    ]
    (tmp_path / "crossfade").write_text('#!/bin/sh\necho "$CROSSFADE_KEY" "$@"\n')
    (tmp_path / "crossfade").chmod(0o755)
    (tmp_path / "api_keys").write_text(secrets["api_keys"])
    script = shlex.split(line)[-1].replace("/run/secrets", str(tmp_path))
    said = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (admin,) = [key for key in Keys.parsed(secrets["api_keys"]).known if key.role == Role.ADMIN]
    key, _, words = said.partition(" ")
    assert Keys.parsed(secrets["api_keys"]).key_of(key) == admin
    assert cli.parser().parse_args(shlex.split(words)).reason == "paged"


def test_the_ingress_of_the_page_is_one_and_leads_to_the_backend(house):
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    ingress = yaml.safe_load(text)
    kubernetes_validate.validate(ingress, "1.28", strict=True)
    known = {
        (one["metadata"]["name"], port["name"])
        for one in house.of_kind("Service")
        for port in one["spec"]["ports"]
    }
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    assert {
        (one["backend"]["service"]["name"], one["backend"]["service"]["port"]["name"]) for one in paths
    } <= known
    routes = _paths(create_api(_nothing))
    for path in paths:
        assert any(route.startswith(f"{path['path']}/") for route in routes)
        assert not "/metrics".startswith(path["path"])


def _settings_of(workload: str) -> set[str]:
    if workload == "backend":
        return {name.upper() for name in Settings.model_fields}
    weights = {f"{name}_{field}".upper() for name in LEGACY for field in WeightsSettings.model_fields}
    if workload in LEGACY:
        return weights | {f"{workload}_{field}".upper() for field in ServiceSettings.model_fields}
    return weights | {name.upper() for name in EmbeddedSettings.model_fields}


def _nothing(_: Any) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _legacy_paths() -> set[str]:
    app = create_app(spec(), lambda: pytest.fail("it is not to be loaded"), ServiceSettings(port=1))
    return _paths(app)


def _paths(app: Any) -> set[str]:
    return {route.path for route in app.routes}
