"""Every service of the compose files by its own command line, environment and health check, without a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ai.core.sample import sample_jpeg
from ai.triton.asking.wire import ADMIN_HEADER
from ai.triton.embedded.process import sweep
from tests import scripted
from tests.alertmanager_server import needs_alertmanager
from tests.composed import (
    CPU,
    PATIENCE_S,
    PROGRAMS,
    House,
    Running,
    composed,
    made_secrets,
    needs_compose,
    owner,
)
from tests.prometheus_server import needs_prometheus
from tests.redis_server import needs_redis
from tests.tritons import plan_in

pytestmark = [pytest.mark.beside, needs_compose, needs_redis]

OURS = ("redis", "rtdetr", "yolo26", "backend")
THEIRS = (
    pytest.param("prometheus", marks=needs_prometheus), pytest.param("alertmanager", marks=needs_alertmanager)
)  # fmt: skip
TRITON_SH = Path(__file__).parents[2] / "deploy/docker/triton.sh"
GENERATED = ("api_keys", "redis_password", "rollout_store", "triton_admin_key", "grafana_admin_password")
ON = {"TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "1", "LEGACY_CPUS": "1", "WORKERS": "1"}


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_secrets(tmp_path_factory.mktemp("installation"))


@pytest.fixture(scope="module")
def house(prod: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """On the processor, Triton switched on and given everything, the profile `triton` off."""
    made = composed(prod, CPU, **ON)
    house = House(
        tmp_path_factory.mktemp("house"), made["services"], made["secrets"],
        here=("backend", "rtdetr", "yolo26", "redis", "prometheus", "alertmanager"),
        more=(("redis-cli ", "redis-cli -p 6379 "), ("bind * -::*", "bind 127.0.0.1")),
    )  # fmt: skip
    store = prod / "secrets/rollout_store"
    store.write_text(house.moved(store.read_text()))
    house.write_moved("redis", "/etc/redis/redis.conf")
    house.write_moved("prometheus", "/etc/prometheus")
    house.write_moved(
        "alertmanager",
        "/etc/alertmanager/alertmanager.yml",
        ("/etc/alertmanager/secrets", str(prod / "secrets")),
    )
    return house


@pytest.fixture(scope="module")
def up(house: House) -> Iterator[dict[str, Running]]:
    """All of them at once, as `docker compose up` would have them."""
    with ExitStack() as stack:
        names = [*OURS, *(one for one in ("prometheus", "alertmanager") if _is_here(house, one))]
        yield {name: stack.enter_context(house.running(name)) for name in names}


def _is_here(house: House, name: str) -> bool:
    return shutil.which(PROGRAMS.get(name, house.words(name)[0])) is not None


@pytest.mark.parametrize("name", [*OURS, *THEIRS])
def test_a_check_fails_where_nobody_answers(house, name):
    assert house.check(name).returncode != 0


@pytest.mark.parametrize("name", [*OURS, *THEIRS])
def test_a_service_comes_up_by_its_own_command_and_is_found_healthy_by_its_own_check(up, house, name):
    up[name].wait_until_healthy()
    if name not in ("prometheus", "alertmanager", "redis"):
        wrote = {path.name for path in house.working_dir(name).iterdir()}
        assert wrote <= {"README.md"}, "its working directory is read-only in the container"


def _key(prod: Path, role: str) -> dict[str, str]:
    keys = (prod / "secrets/api_keys").read_text().strip().split(",")
    return {"X-API-Key": next(key.split(":")[2] for key in keys if key.split(":")[1] == role)}


def test_with_triton_on_and_none_there_legacy_serves_and_the_backend_says_so(up, house, prod):
    """TRITON_ENABLED=true, all requests Triton's, and the profile off: works, on fallback."""
    assert house.environment("backend")["TRITON_URL"] == "triton:8001", "as the file has it"
    up["backend"].wait_until_healthy()
    up["yolo26"].wait_until_healthy()
    url = f"http://127.0.0.1:{house.port(8080)}"
    picture = {"Content-Type": "image/jpeg", **_key(prod, "caller")}
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        answers = [
            client.post("/api/detect?detector=yolo26", content=sample_jpeg(), headers=picture)
            for _ in range(8)
        ]
        ready = client.get("/health/ready").json()
        metrics = client.get("/metrics").text
        keyless = client.post("/api/detect", content=sample_jpeg(), headers={"Content-Type": "image/jpeg"})
    assert {answer.status_code for answer in answers} == {200}
    served = [answer.json()["served_by"] for answer in answers]
    assert {one["backend"] for one in served} == {"legacy"}
    assert all(one["fallback_reason"] for one in served)
    assert keyless.status_code == 401
    assert ready["status"] == "ready"
    lanes = {lane["backend"]: lane for lane in ready["lanes"] if lane["detector"] == "yolo26"}
    assert lanes["legacy"]["heard"]
    assert (lanes["triton"]["allowed"], lanes["triton"]["heard"], lanes["triton"]["breaker"]) == (
        True,
        False,
        "open",
    )
    assert 'detector_fallbacks_total{detector="yolo26",from="triton"' in metrics
    assert 'detector_ready{backend="triton",detector="yolo26"} 0.0' in metrics
    # what the alert TritonUnused is computed from
    assert 'rollout_effective_fraction{detector="yolo26"} 1.0' in metrics
    assert 'detector_requests_total{backend="triton",detector="yolo26",outcome="ok"} 0.0' in metrics
    assert '"fallback_reason": "unavailable"' in up["backend"].log_text()


def test_the_switch_beside_the_containers_turns_triton_off_without_a_restart(up, house, prod):
    up["backend"].wait_until_healthy()
    url, admin = f"http://127.0.0.1:{house.port(8080)}/api/rollout", _key(prod, "admin")
    assert httpx.get(url, headers=admin, trust_env=False).json()["kill_switch"] is False
    (house.working_dir("backend") / ".env").write_text("TRITON_ENABLED=false\n")
    ends_at = time.monotonic() + PATIENCE_S
    while not httpx.get(url, headers=admin, trust_env=False).json()["kill_switch"]:
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    (house.working_dir("backend") / ".env").unlink()


def test_the_command_in_the_backends_container_finds_its_backend_and_its_key(up, house):
    up["backend"].wait_until_healthy()
    shown = subprocess.run(
        ["crossfade", "rollout", "show"], env=house.environment("backend"), cwd=house.working_dir("backend"),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "yolo26 100.00%" in shown.stdout


@pytest.mark.parametrize("content", [None, ""])
@pytest.mark.parametrize(
    ("name", "secret", "sentence"),
    [("backend", "api_keys", "API_KEYS_FILE"), ("redis", "redis_password", "redis_password"),
     ("triton", "triton_admin_key", "triton_admin_key"), ("alertmanager", "page_url", "page_url"),
     ("alertmanager", "heartbeat_url", "heartbeat_url"),
     ("grafana", "grafana_admin_password", "grafana_admin_password")],
)  # fmt: skip
def test_a_secret_that_is_missing_or_empty_ends_its_reader_with_a_sentence(
    prod, house, tmp_path, name, secret, sentence, content
):
    path = tmp_path / secret
    if content is not None:
        path.write_text(content)
    robbed = House(tmp_path, house.services, {**house.secrets, secret: {"file": str(path)}}, house.here)
    words = [str(TRITON_SH), *robbed.words(name)] if name == "triton" else None
    with robbed.running(name, words) as service:
        assert service.process.wait(PATIENCE_S) != 0
    assert sentence in service.log_text()
    assert "Traceback" not in service.log_text()


def test_triton_serves_its_named_models_and_its_admin_endpoints_need_the_key(prod, tmp_path):
    """The real server of the wheel in the place of NVIDIA's image, with the same command line."""
    made = composed(prod, CPU)
    for model in ("rtdetr_jpeg", "yolo26_jpeg", "never_named_jpeg"):
        scripted.jpeg(prod / "models", model)
    plan = plan_in(tmp_path, prod / "models")
    marked = (("prefix-name=crossfade-", f"prefix-name={plan.mark}"),)
    house = House(tmp_path, made["services"], made["secrets"], here=("triton",), more=marked)
    ports = {"http": house.port(8000), "grpc": house.port(8001), "metrics": house.port(8002)}
    elsewhere = [
        f"--backend-directory={plan.backends}", *(f"--{kind}-port={port}" for kind, port in ports.items()),
        *(f"--{kind}-address=127.0.0.1" for kind in ports),
    ]  # fmt: skip
    inherited = {**os.environ, "PATH": f"{plan.wheel.tritonserver.parent}:{os.environ['PATH']}"}
    environment = plan.wheel.environment(inherited)
    url = f"http://127.0.0.1:{ports['http']}"
    key = (prod / "secrets/triton_admin_key").read_text().strip()
    try:
        with house.running(
            "triton", [str(TRITON_SH), *house.words("triton"), *elsewhere],
            PATH=environment["PATH"], LD_LIBRARY_PATH=environment["LD_LIBRARY_PATH"],
        ) as triton:  # fmt: skip
            triton.wait_until_healthy()
            refused = httpx.post(f"{url}/v2/repository/index", trust_env=False)
            index = httpx.post(f"{url}/v2/repository/index", headers={ADMIN_HEADER: key}, trust_env=False)
            metrics = httpx.get(f"http://127.0.0.1:{ports['metrics']}/metrics", trust_env=False).text
    finally:
        sweep(plan.mark)
    assert refused.status_code == 403
    served = {model["name"] for model in index.json() if model.get("state") == "READY"}
    assert served == {"rtdetr_jpeg", "yolo26_jpeg"}
    assert "nv_inference_request_summary_us" in metrics


def test_the_secrets_are_private_differ_and_are_never_overwritten(tmp_path):
    secrets = made_secrets(tmp_path / "one") / "secrets"
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert {(secrets / name).stat().st_mode & 0o777 for name in GENERATED} == {0o600}
    again = subprocess.run(
        [tmp_path / "one/deploy/secrets.sh", *owner()], capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "exists; nothing was changed" in again.stderr
    assert before == {path.name: path.read_text() for path in secrets.iterdir()}
    other = made_secrets(tmp_path / "another") / "secrets"
    assert all((other / name).read_text() != before[name] for name in GENERATED)
