"""A fleet on one machine: backends on one Redis behind the real proxy, and Tritons at addresses of one name's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest

from ai.triton.embedded.launch import Plan
from ai.triton.embedded.ports import LOOPBACK, settle
from ai.triton.embedded.server_log import ServerLog
from tests.backends import Backend, quick_model, running_backend
from tests.nginx_server import NginxServer, running_nginx
from tests.redis_server import RedisServer, running_redis
from tests.services import Service
from tests.tritons import RunningTriton, plan_in

MODEL = "yolo26_jpeg"
NAME = "triton.fleet.test"
REPLICAS = 3
ADMIN = {"X-API-Key": "the-key-of-the-whole-fleet-1"}

# A mount of one process and its children: no name of this machine changes.
_UNSHARE = ("unshare", "--mount", *(() if os.getuid() == 0 else ("--map-root-user",)))
_BIND = 'mount --bind "$0" /etc/hosts && exec "$@"'


def _may_have_names_of_its_own() -> bool:
    if shutil.which("unshare") is None:
        return False
    words = [*_UNSHARE, "sh", "-c", _BIND, "/dev/null", "true"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


needs_names = pytest.mark.skipif(
    not _may_have_names_of_its_own(),
    reason="no process may be given an /etc/hosts of its own here (unshare --mount: root, or user namespaces)",
)


class Hosts:
    """What one name stands for, to processes that are started with `before`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stand_for(())

    @property
    def before(self) -> tuple[str, ...]:
        return (*_UNSHARE, "sh", "-c", _BIND, str(self._path))

    def stand_for(self, addresses: Sequence[str]) -> None:
        """In place: a file that is put in its stead would not be the one that they see."""
        lines = [f"{LOOPBACK} localhost", *(f"{address} {NAME}" for address in addresses)]
        self._path.write_text("".join(f"{line}\n" for line in lines))


@dataclass(frozen=True)
class PlanAt(Plan):
    """At an address of its own, so that several listen on one port."""

    address: str = LOOPBACK

    @classmethod
    def of(cls, plan: Plan, address: str, ports: Mapping[str, int]) -> PlanAt:
        known = {one.name: getattr(plan, one.name) for one in fields(Plan)}
        return cls(**(known | {"ports": ports}), address=address)

    def url(self, name: str) -> str:
        return f"{self.address}:{self.ports[name]}"

    @property
    def command(self) -> list[str]:
        here = f"-address={self.address}"
        return [word.replace(f"-address={LOOPBACK}", here) for word in super().command]


@dataclass
class Fleet:
    backends: list[Backend]
    proxy: NginxServer
    redis: RedisServer
    hosts: Hosts
    tritons: list[RunningTriton]

    def stand_for(self, *tritons: RunningTriton) -> None:
        self.hosts.stand_for([address_of(one) for one in tritons])

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Through the proxy, with the admin's key."""
        with self.proxy.client(headers=ADMIN | {"If-Match": "*"}) as client:
            return client.request(method, path, **more)

    def versions(self) -> list[int]:
        """Of the flags, as each replica knows them."""
        answers = [
            httpx.get(one.url + "/api/rollout", headers=ADMIN, timeout=30, trust_env=False)
            for one in self.backends
        ]
        return [int(answer.json()["version"]) for answer in answers]


def address_of(triton: RunningTriton) -> str:
    return triton.http_url.rpartition(":")[0]


def counted_by(triton: RunningTriton) -> float:
    return triton.metric("nv_inference_request_success", MODEL)


@contextmanager
def running_fleet(folder: Path, legacy: Service, started: int, planned: int) -> Iterator[Fleet]:
    """So many Tritons run and have the name, so many more can be started; all requests are decided for them."""
    hosts = Hosts(folder / "hosts")
    ports = settle({"http": 0, "grpc": 0, "metrics": 0})
    quick_model(folder / "models", MODEL)
    with ExitStack() as running:
        tritons = [
            running.enter_context(_planned_triton(folder / "models", f"127.0.8.{number}", ports))
            for number in range(1, started + planned + 1)
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(RunningTriton.start, tritons[:started]))
        redis = running.enter_context(running_redis(folder / "redis"))
        hosts.stand_for([address_of(one) for one in tritons[:started]])
        shared = _shared_words(redis, ports)
        backends = [
            running.enter_context(running_backend(legacy=legacy, before=hosts.before, ready=False, **shared))
            for _ in range(REPLICAS)
        ]
        places = [f"{LOOPBACK}:{one.port}" for one in backends]
        proxy = running.enter_context(running_nginx(folder / "proxy", places))
        yield Fleet(backends, proxy, redis, hosts, tritons)


def _shared_words(redis: RedisServer, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "ROLLOUT_STORE": redis.url,
        "API_KEYS": f"admin:admin:{ADMIN['X-API-Key']}",
        "TRITON_ENABLED": "true",
        "TRITON_TRAFFIC_FRACTION": "1",
        "TRITON_URL": f"dns:///{NAME}:{ports['grpc']}",
        "TRITON_HTTP_URL": f"dns:///{NAME}:{ports['http']}",
    }


@contextmanager
def _planned_triton(repository: Path, address: str, ports: Mapping[str, int]) -> Iterator[RunningTriton]:
    directory = Path(mkdtemp())
    plan = PlanAt.of(plan_in(directory, repository, ["--load-model=*"]), address, ports)
    log = ServerLog(directory / "triton.log", max_bytes=10_000_000, files=2)
    triton = RunningTriton(plan, log)
    try:
        yield triton
    finally:
        if triton.process is not None:
            triton.kill() if not triton.process.ended else triton.stop()
        log.close()
        shutil.rmtree(directory, ignore_errors=True)
