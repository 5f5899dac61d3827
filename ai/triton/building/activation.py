"""A freshly built version on a server that runs: loaded while the old one serves, or set aside with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from ai.triton.embedded.record import RunningTriton
from ai.triton.repository import Built
from ai.triton.stored import versions

LOAD_TIMEOUT_S = 600  # a GPU engine captures its graphs meanwhile


@dataclass(frozen=True, slots=True)
class Activation:
    model: str
    version: int
    failure: str | None = None  # Triton's own reason; the version is set aside then

    @property
    def sentence(self) -> str:
        if self.failure is None:
            return f"{self.model}: version {self.version} serves"
        return f"{self.model}: version {self.version} could not be loaded and was set aside: {self.failure}"


def activate(triton: RunningTriton, built: Iterable[Built]) -> list[Activation]:
    """Load what is new. Triton answers with the old version until the new one has warmed up."""
    repository = Path(triton.repository)
    with httpx.Client(base_url=f"http://{triton.http_url}", headers=triton.http_admin, trust_env=False,
                      timeout=LOAD_TIMEOUT_S) as admin:  # fmt: skip
        return [_activate(admin, repository, one) for one in built if one.changed]


def _activate(admin: httpx.Client, repository: Path, built: Built) -> Activation:
    failure = _load(admin, built.model)
    if failure is not None:
        versions.set_aside(repository / built.model, built.version)
    return Activation(built.model, built.version, failure)


def _load(admin: httpx.Client, model: str) -> str | None:
    """None, or why not. An answer of 200 is Triton's word that the warm-up went through."""
    try:
        answer = admin.post(f"/v2/repository/models/{model}/load", json={})
    except httpx.TransportError as error:
        return f"Triton went away while loading ({error})"
    if answer.status_code == httpx.codes.OK:
        return None
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"Triton answered {answer.status_code}"
