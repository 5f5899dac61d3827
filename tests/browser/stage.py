"""What the page is tried on: a backend with two workers, a legacy service and a Triton, and a hand at its API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.backends import Backend, running_backend
from tests.browser.sides import legacy_of_patches, write_models
from tests.tritons import running_triton

ADMIN, VIEWER, CALLER = "ops-key/+%41&=#", "eye-key", "cam-key"  # an admin's with what a link has to escape
KEYS = "ops:admin:ops-key/+%41&=#,eye:viewer:eye-key,cam:caller:cam-key"
NAMES = {"ops": ADMIN, "eye": VIEWER, "cam": CALLER}
WORKERS = 2
FRESH = {
    "enabled": True, "fraction": 0.0, "shadow": 0.0, "overrides": {}, "pins": {}, "pins_suspended": False,
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    backend: Backend

    @property
    def url(self) -> str:
        return self.backend.url

    def ask(self, method: str, path: str, key: str = ADMIN, **what: Any) -> httpx.Response:
        headers = {"X-API-Key": key, **what.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=30, trust_env=False, **what)

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/api/rollout").json())

    @property
    def last_change(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/api/rollout/history?limit=1").json()["changes"][0])

    def set(self, reason: str = "", **flags: Any) -> int:
        """The version after this change."""
        answer = self.ask("PUT", "/api/rollout", headers={"If-Match": "*"}, json={"reason": reason, **flags})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])

    def freshen(self) -> None:
        """As it was at first, but for the history."""
        state = self.state
        if any(state[name] != value for name, value in FRESH.items()):
            self.set("for a test", **FRESH)
        self.ask("DELETE", "/api/rollout/samples?all=true")

    def detect(self, image: bytes, **params: str) -> dict[str, Any]:
        answer = self.ask(
            "POST", "/api/detect", content=image, params=params, headers={"Content-Type": "image/jpeg"}
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until_all_obey(self) -> None:
        self.backend.until(self._all_obey, f"never were {WORKERS} workers that obey the same")

    def _all_obey(self) -> bool:
        state = self.state
        return [one["version"] for one in state["workers"]] == [state["version"]] * WORKERS


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    write_models(folder)
    variables: dict[str, Any] = {
        "API_KEYS": KEYS, "TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "0", "TRITON_SHADOW_FRACTION": "0",
    }  # fmt: skip
    with (
        legacy_of_patches() as legacy,
        running_triton(folder) as triton,
        running_backend(legacy=legacy, triton=triton, workers=WORKERS, **variables) as backend,
    ):
        stage = Stage(backend)
        stage.until_all_obey()
        yield stage
