"""A real backend over a real legacy service and a Redis with a password: each secret is a word that is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backends import Backend, running_backend
from tests.legacy_process import legacy_process
from tests.redis_server import RedisServer, running_redis
from tests.services import Service

# No part of one is said by anything else: a hit is a leak.
CALLER, VIEWER, ADMIN = "Zq7CALLERzq7word", "Zq7VIEWERzq7word", "Zq7ADMINzq7word"
WRONG = "Zq7WRONGzq7word"
STORE = "Zq7STOREzq7word"
SECRETS = (CALLER, VIEWER, ADMIN, WRONG, STORE)
API_KEYS = f"cam:caller:{CALLER},eye:viewer:{VIEWER},ops:admin:{ADMIN}"


@dataclass(frozen=True)
class House:
    backend: Backend
    legacy: Service
    store: RedisServer

    @property
    def store_url(self) -> str:
        return f"redis://:{STORE}@127.0.0.1:{self.store.port}/0"


@contextmanager
def running_house(folder: Path) -> Iterator[House]:
    options = ("--save", "", "--appendonly", "no", "--requirepass", STORE)
    with running_redis(folder / "redis", *options) as store, legacy_process() as legacy:
        url = f"redis://:{STORE}@127.0.0.1:{store.port}/0"
        with running_backend(
            legacy=legacy, API_KEYS=API_KEYS, ROLLOUT_STORE=url, UPLOAD_TIMEOUT_S="5"
        ) as backend:
            yield House(backend, legacy, store)
