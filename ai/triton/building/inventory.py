"""What a repository holds, and what of it a running server serves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from ai.triton.embedded.record import RunningTriton
from ai.triton.stored import versions
from ai.triton.stored.config import read_config
from ai.triton.stored.served import NotServable, Served


@dataclass(frozen=True, slots=True)
class Row:
    model: str
    version: int
    engine: str
    precision: str
    input: str
    max_batch: int
    state: str  # Triton's word for it, or why there is none
    set_aside: tuple[str, ...]  # versions that could not be loaded

    def to_table(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        engine = self.engine if self.precision in {"f32", "f16"} else f"{self.engine} {self.precision}"
        aside = f", set aside: {', '.join(self.set_aside)}" if self.set_aside else ""
        return f"{self.model:24} {self.version:7}  {engine:12} {self.input:9} {self.max_batch:5}  {self.state}{aside}"


def inventory(repository: Path, triton: RunningTriton | None) -> list[Row]:
    states = (
        states_of(triton) if triton and Path(triton.repository).resolve() == repository.resolve() else None
    )
    folders = sorted(path for path in repository.glob("*") if versions.numbers(path))
    return [_row(folder, states) for folder in folders]


def _row(folder: Path, states: dict[tuple[str, int], str] | None) -> Row:
    newest = versions.numbers(folder)[-1]
    config = read_config(folder / versions.CONFIG)
    dims = next(iter(config.input)).dims
    try:
        served = Served.load(folder / str(newest))
        engine, precision = served.engine, served.precision
        size = f"{served.spec.input_width}x{served.spec.input_height}"
    except NotServable:
        engine, precision = config.platform or config.backend, "f32"
        size = "x".join(str(side) for side in reversed(dims[1:]))
    state = "not running" if states is None else states.get((folder.name, newest), "not loaded")
    aside = tuple(sorted(path.name for path in folder.glob("failed-*")))
    return Row(folder.name, newest, engine, precision, size, config.max_batch_size, state, aside)


def states_of(triton: RunningTriton) -> dict[tuple[str, int], str]:
    """Model and version → READY and the like; empty when the server does not say."""
    try:
        answer = httpx.post(f"http://{triton.http_url}/v2/repository/index", headers=triton.http_admin, json={},
                            timeout=5, trust_env=False)  # fmt: skip
        return {
            (str(one["name"]), int(one["version"])): f"{one['state']} {one.get('reason', '')}".strip()
            for one in answer.json() if "version" in one
        }  # fmt: skip
    except (httpx.TransportError, ValueError, KeyError, TypeError):
        return {}
