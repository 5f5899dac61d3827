"""`crossfade up`, `down`, `status` and `logs`: everything on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai.core.errors import CrossfadeError
from ai.core.sample import sample_jpeg
from backend.commands.words import Commands, add, parts, tell, tell_document
from backend.settings import DETECTORS, Settings, read_settings, whole_environment
from backend.sides import LEGACY, SIDES, TRITON
from backend.stack import logs, sample_table
from backend.stack.backend_api import BackendApi, key_file, table
from backend.stack.errors import StackError
from backend.stack.guard import guarded
from backend.stack.journal import Journal
from backend.stack.log_keeper import nameless, overgrown
from backend.stack.parts import Part
from backend.stack.plan import first_values, require_local_services, why_no_triton
from backend.stack.processes import Running
from backend.stack.signals import ended_by_signals
from backend.stack.starting import Start, watch


def add_words(commands: Commands) -> None:
    _up_words(commands)
    add(commands, "down", _down, "end what `up` started, the backend first",
        "Requests in flight are answered. A start that is under way is called off.")  # fmt: skip
    status = add(commands, "status", _status, "what runs here, how it is, and where the rollout stands",
                 "Exit status 0 only if every part runs and is well.")  # fmt: skip
    status.add_argument("--json", action="store_true", help="one JSON table")
    log = add(commands, "logs", _logs, "the parts' logs, each line with its part's name",
              "crossfade logs backend triton --follow")  # fmt: skip
    log.add_argument("parts", nargs="*", metavar="PART", help="rtdetr, yolo26, triton, backend; default: all")
    log.add_argument("--follow", "-f", action="store_true", help="go on with what comes, until Ctrl-C")
    log.add_argument("-n", dest="lines", type=_count, default=50, help="the last so many of each file (50)")


def _up_words(commands: Commands) -> None:
    up = add(
        commands, "up", _up, "start both legacy services, Triton and the backend, and try each side",
        "It builds the model repository first if it must, sends a drawn scene through each side and prints what\n"
        "was found. Triton gets 10 % of the requests, unless the environment or .env says otherwise.\n"
        "  crossfade up                          holds the terminal; Ctrl-C ends everything\n"
        "  crossfade up --detach --wait 180      comes back when all is ready; crossfade down ends it",
    )  # fmt: skip
    up.add_argument("--detach", action="store_true", help="leave it running and come back")
    up.add_argument("--wait", type=_seconds, metavar="S", help="how long it may take (START_TIMEOUT_S, 180)")
    up.add_argument("--workers", type=int, metavar="N", help="processes of the backend (WORKERS, 1)")


def _up(args: argparse.Namespace, settings: Settings) -> int:
    if args.workers is not None:
        settings = read_settings(workers=args.workers)
    require_local_services(settings)
    journal = Journal(settings.crossfade_var)
    wanted = _wanted(settings)
    start = Start(wanted, journal, whole_environment(), args.wait or settings.start_timeout_s, tell)
    with (
        ended_by_signals(),
        guarded(settings.crossfade_var),
        _started(start, journal, stays=args.detach) as running,
    ):
        _prove(settings, wanted, strict=args.detach)
        _show_ways(settings, wanted)
        if args.detach:
            tell("", "Everything runs on. `crossfade down` (or `make down`) ends it.")
        else:
            tell("", "Ctrl-C ends everything.")
            watch(journal, running)
    return 0


@contextmanager
def _started(start: Start, journal: Journal, stays: bool) -> Iterator[Sequence[Running]]:
    """What was started ends with the block, unless all went well and it is to stay."""
    running: Sequence[Running] = ()
    try:
        running = start.run()
        yield running
    except BaseException:
        stays = False
        raise
    finally:
        if not stays and (ours := running or start.left):
            tell("")
            journal.end(ours, tell)


def _wanted(settings: Settings) -> tuple[Part, ...]:
    wanted = parts(settings)
    if TRITON not in {part.name for part in wanted}:
        elsewhere = f"TRITON_URL={settings.triton_url} is not on this machine; it is used and not started"
        tell(f"{TRITON}: {why_no_triton(settings) or elsewhere}")
    return wanted


def _prove(settings: Settings, wanted: Sequence[Part], strict: bool) -> None:
    """A drawn scene through each side. A side that is switched off is no fault, nor one that is not ours."""
    sides = [side for side in SIDES if side != LEGACY or settings.legacy_enabled]
    seen = sample_table.look(BackendApi.of(settings), sample_jpeg(), DETECTORS, sides)
    tell("", "The drawn scene ai/core/sample.jpg, through each side:", "")
    tell(*sample_table.table(seen).split("\n"), "", *sample_table.verdicts(seen))
    here = {LEGACY, *(part.name for part in wanted)}
    faults = [one for one in seen if one.problem and not one.off and one.side in here]
    if faults and strict:
        raise StackError(f"{faults[0].detector} was not answered by {faults[0].side}: {faults[0].problem}")


def _show_ways(settings: Settings, wanted: Sequence[Part]) -> None:
    api, program = BackendApi.of(settings), Path(sys.argv[0])
    tell(
        "",
        f"  API docs    {api.url}/docs",
        f"  health      {api.url}/health/ready",
        f"  metrics     {api.url}/metrics",
    )
    for part in wanted:
        if part.url != api.url:
            tell(f"  {part.name:11} {part.url}")
    tell(
        f"  logs        {settings.crossfade_var / 'log'}",
        f"  admin key   {'in API_KEYS' if 'admin' in settings.api_keys else key_file(settings)}",
        "",
        f"  a picture   {program} detect PICTURE.jpg",
        f"  ramp        {program} rollout set --fraction 0.25",
        f"  by itself   {program} models parity, then {program} ramp start and ramp watch",
        f'  roll back   {program} rollout rollback --reason "what you saw"',
    )
    if rollout := _rollout(settings):
        tell("", _rollout_line(rollout))
    if given := first_values(settings):
        values = ", ".join(f"{name}={value}" for name, value in given.items())
        tell(f"{values} for a first time; the environment or .env can say otherwise")


def _down(_: argparse.Namespace, settings: Settings) -> int:
    journal = Journal(settings.crossfade_var)
    journal.call_off_a_start(tell)
    running = journal.known()
    journal.end(running, tell)
    if not running:
        tell("Nothing was running.")
    return 0


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
    def line(self) -> str:
        process = f"process {self.pid}" if self.pid else "not started here"
        return f"{self.name:8} {self.url:28} {process:17} {self.health}"


def _status(args: argparse.Namespace, settings: Settings) -> int:
    journal = Journal(settings.crossfade_var)
    running = journal.known()
    wanted = parts(settings)
    found = [PartStatus.of(part, running) for part in wanted]
    rollout = _rollout(settings)
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
        return 0 if well else 1
    for one in found:
        tell(one.line)
    if rollout is not None:
        tell(_rollout_line(rollout))
    tell(*_log_lines(journal, running, wanted))
    return 0 if well else 1


def _log_lines(journal: Journal, running: Sequence[Running], wanted: Sequence[Part]) -> list[str]:
    ills = [f"{log} is over twice LOG_MAX_BYTES: nobody cuts it" for log in overgrown(wanted)]
    ills += [f"{log} was removed or replaced: what is said now stands nowhere" for log in nameless(running)]
    if journal.keeper_is_gone:
        ills.append("whoever kept them to LOG_MAX_BYTES has ended: they grow")
    return [f"logs     {ill}; `crossfade down` and `up` mend that" for ill in ills]


def _rollout(settings: Settings) -> dict[str, Any] | None:
    with suppress(CrossfadeError):
        return table(BackendApi.of(settings).ask("GET", "/api/rollout"))
    return None


def _rollout_line(state: dict[str, Any]) -> str:
    each = ", ".join(f"{name} {share:.0%}" for name, share in sorted(state["effective"].items()))
    switch = "killed by TRITON_ENABLED=false" if state["kill_switch"] else "on" if state["enabled"] else "off"
    stale = ", STALE" if state["stale"] else ""
    return f"rollout  Triton is {switch}: {each} (version {state['version']}{stale})"


def _logs(args: argparse.Namespace, settings: Settings) -> int:
    known = {part.name: part for part in parts(settings)}
    if unknown := [name for name in args.parts if name not in known]:
        raise StackError(f"no part is called {unknown[0]!r}; there are: {', '.join(known)}")
    chosen = [known[name] for name in args.parts or known]
    if args.follow:
        logs.follow(chosen, args.lines, tell)
    else:
        logs.show(chosen, args.lines, tell)
    return 0


def _seconds(text: str) -> float:
    if not 0 < (seconds := float(text)) <= 3600:
        raise ValueError
    return seconds


def _count(text: str) -> int:
    if (count := int(text)) < 0:
        raise ValueError
    return count


_seconds.__name__ = "number of seconds, up to 3600"  # argparse shows it
_count.__name__ = "number of lines"
