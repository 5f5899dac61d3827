"""`crossfade status`: what runs on this machine, how it is, and where the rollout stands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ai.core.errors import CrossfadeError
from backend.commands.statuses import Status
from backend.commands.terminal import colour, table
from backend.commands.words import Commands, add, parts, tell, tell_document
from backend.settings import Settings
from backend.stack import backend_api
from backend.stack.backend_api import BackendApi
from backend.stack.journal import Journal
from backend.stack.log_keeper import nameless, overgrown
from backend.stack.parts import Part
from backend.stack.processes import Running


def add_words(commands: Commands) -> None:
    status = add(commands, "status", _status, "what runs here, how it is, and where the rollout stands",
                 "  crossfade status\n"
                 "  crossfade status --json | jq .rollout.effective\n"
                 "Exit status 0 only if every part runs and is well; 1 otherwise.")  # fmt: skip
    status.add_argument("--json", action="store_true", help="one JSON table")


@dataclass(frozen=True, slots=True)
class PartStatus:
    name: str
    url: str
    pid: int | None
    well: bool
    health: str

    @classmethod
    def of(cls, part: Part, running: Sequence[Running]) -> PartStatus:
        health = part.look()
        pid = next((one.pid for one in running if one.name == part.name and one.alive), None)
        return cls(part.name, part.url, pid, health.well, health.words)

    @property
    def row(self) -> tuple[str, ...]:
        process = f"process {self.pid}" if self.pid else colour("not started here", "soft")
        return self.name, self.url, process, colour(self.health, "good" if self.well else "bad")


def _status(args: argparse.Namespace, settings: Settings) -> int:
    journal = Journal(settings.crossfade_var)
    running = journal.known()
    wanted = parts(settings)
    found = [PartStatus.of(part, running) for part in wanted]
    rollout = rollout_of(settings)
    well = all(one.pid is not None and one.well for one in found)
    if args.json:
        tell_document(
            {
                "well": well,
                "parts": [asdict(one) for one in found],
                "rollout": rollout,
                "logs_kept": not journal.keeper_is_gone,
                "logs_grow": [str(log) for log in overgrown(wanted)],
                "logs_gone": [str(log) for log in nameless(running)],
            }
        )
    else:
        tell(*table((), [one.row for one in found]))
        tell(*([] if rollout is None else [rollout_line(rollout)]))
        tell(*log_lines(journal, running, wanted))
    return Status.DONE if well else Status.NOT_DONE


def log_lines(journal: Journal, running: Sequence[Running], wanted: Sequence[Part]) -> list[str]:
    ills = [f"{log} is over twice LOG_MAX_BYTES: nobody cuts it" for log in overgrown(wanted)]
    ills += [f"{log} was removed or replaced: what is said now stands nowhere" for log in nameless(running)]
    if journal.keeper_is_gone:
        ills.append("whoever kept them to LOG_MAX_BYTES has ended: they grow")
    return [f"logs     {colour(ill, 'warn')}; `crossfade down` and `up` mend that" for ill in ills]


def rollout_of(settings: Settings) -> dict[str, Any] | None:
    """None where nobody answers, or not us."""
    with suppress(CrossfadeError):
        return backend_api.table(BackendApi.of(settings).ask("GET", "/api/rollout"))
    return None


def rollout_line(state: dict[str, Any]) -> str:
    each = ", ".join(f"{name} {share:.0%}" for name, share in sorted(state["effective"].items()))
    switch = "killed by TRITON_ENABLED=false" if state["kill_switch"] else "on" if state["enabled"] else "off"
    stale = colour(", STALE", "bad") if state["stale"] else ""
    return f"rollout  Triton is {switch}: {each} (version {state['version']}{stale})"
