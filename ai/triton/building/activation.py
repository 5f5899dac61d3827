"""A freshly built version on a server that runs: loaded while the old one serves, or set aside with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from ai.triton.building.inventory import states_of
from ai.triton.embedded.record import RunningTriton
from ai.triton.repository import Built
from ai.triton.stored import versions

LOAD_TIMEOUT_S = 600  # a GPU engine captures its graphs meanwhile


@dataclass(frozen=True, slots=True)
class Activation:
    model: str
    version: int
    failure: str | None = None  # Triton's own reason
    set_aside: bool = False

    @property
    def sentence(self) -> str:
        if self.failure is None:
            return f"{self.model}: version {self.version} serves"
        became = " and was set aside" if self.set_aside else ""
        return f"{self.model}: version {self.version} could not be loaded{became}: {self.failure}"


def activate(triton: RunningTriton, built: Iterable[Built]) -> list[Activation]:
    """Load what is new. Triton answers with the old version until the new one has warmed up."""
    repository = Path(triton.repository)
    states = states_of(triton)
    fresh = [one for one in built if one.changed or states.get((one.model, one.version)) != "READY"]
    with httpx.Client(base_url=f"http://{triton.http_url}", headers=triton.http_admin, trust_env=False,
                      timeout=LOAD_TIMEOUT_S) as admin:  # fmt: skip
        return [_activate(admin, repository, one) for one in fresh]


def _activate(admin: httpx.Client, repository: Path, built: Built) -> Activation:
    try:
        failure = _load(admin, built.model)
    except (
        httpx.TransportError
    ) as error:  # says nothing of the version: the supervisor judges it when it is back
        return Activation(built.model, built.version, f"Triton did not say what became of it ({error!r})")
    if failure is not None:
        versions.set_aside(repository / built.model, built.version)
    return Activation(built.model, built.version, failure, set_aside=failure is not None)


def _load(admin: httpx.Client, model: str) -> str | None:
    """None, or why not. An answer of 200 is Triton's word that the warm-up went through."""
    answer = admin.post(f"/v2/repository/models/{model}/load", json={})
    if answer.status_code == httpx.codes.OK:
        return None
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"Triton answered {answer.status_code}"
