"""`crossfade up`, `down` and `logs`: everything on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ai.core.sample import sample_jpeg
from ai.terminal.stream import is_redrawn
from ai.terminal.words import like
from backend.commands.console import link_of
from backend.commands.status import rollout_line, rollout_of
from backend.commands.words import Commands, add, complain, mention, parts, say, tell_document
from backend.settings import DETECTORS, Settings, read_settings, whole_environment
from backend.sides import LEGACY, SIDES, TRITON
from backend.stack import logs, sample_table
from backend.stack.backend_api import BackendApi, key_file
from backend.stack.errors import StackError
from backend.stack.guard import guarded
from backend.stack.journal import Journal
from backend.stack.parts import Part
from backend.stack.plan import first_values, require_local_services, why_no_triton
from backend.stack.processes import Running
from backend.stack.signals import ended_by_signals
from backend.stack.starting import Start, watch

Tell = Callable[..., None]


def add_words(commands: Commands) -> None:
    _up_words(commands)
    down = add(commands, "down", _down, "end what `up` started, the backend first",
               "  crossfade down\n"
               "Requests in flight are answered. A start that is under way is called off.")  # fmt: skip
    down.add_argument("--json", action="store_true", help="what was ended, as a JSON table")
    log = add(commands, "logs", _logs, "the parts' logs, each line with its part's name",
              "  crossfade logs backend triton --follow\n"
              "  crossfade logs backend -n 1000 --json | jq -r .line")  # fmt: skip
    log.add_argument("parts", nargs="*", metavar="PART", help="rtdetr, yolo26, triton, backend; default: all")
    log.add_argument("--follow", "-f", action="store_true", help="go on with what comes, until Ctrl-C")
    log.add_argument(
        "-n", dest="lines", type=_count, default=50, metavar="N", help="the last so many of each file (50)"
    )
    log.add_argument("--json", action="store_true", help='each line as {"part": …, "line": …}')


def _up_words(commands: Commands) -> None:
    up = add(
        commands, "up", _up, "start both legacy services, Triton and the backend, and try each side",
        "It builds the model repository first if it must, sends a drawn scene through each side and prints what\n"
        "was found. Triton gets 10 % of the requests, unless the environment or .env says otherwise.\n"
        "  crossfade up                          holds the terminal; Ctrl-C ends everything\n"
        "  crossfade up --detach --wait 180      comes back when all is ready; crossfade down ends it\n"
        "  crossfade up --detach --json | jq .parts",
    )  # fmt: skip
    up.add_argument("--detach", action="store_true", help="leave it running and come back")
    up.add_argument("--wait", type=_seconds, metavar="S", help="how long it may take (START_TIMEOUT_S, 180)")
    up.add_argument("--workers", type=int, metavar="N", help="processes of the backend (WORKERS, 1)")
    up.add_argument("--json", action="store_true", help="once all is ready a JSON table; the rest on stderr")


def _up(args: argparse.Namespace, settings: Settings) -> int:
    if args.workers is not None:
        settings = read_settings(workers=args.workers)
    require_local_services(settings)
    journal, said = Journal(settings.crossfade_var), complain if args.json else mention
    wanted = _wanted(settings, said)
    start = Start(wanted, journal, whole_environment(), args.wait or settings.start_timeout_s, said)
    with (
        ended_by_signals(),
        guarded(settings.crossfade_var),
        _started(start, journal, stays=args.detach, tell=said) as running,
    ):
        seen = _prove(settings, wanted, said, strict=args.detach)
        if args.json:
            tell_document(_document(settings, wanted, running, seen))
        else:
            _show_ways(settings, wanted)
        if args.detach:
            said("", "Everything runs on. `crossfade down` (or `make down`) ends it.")
        else:
            said("", "Ctrl-C ends everything.")
            watch(journal, running)
    return 0


@contextmanager
def _started(
    start: Start, journal: Journal, stays: bool, tell: Tell = mention
) -> Iterator[Sequence[Running]]:
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


def _wanted(settings: Settings, tell: Tell) -> tuple[Part, ...]:
    wanted = parts(settings)
    if TRITON not in {part.name for part in wanted}:
        elsewhere = f"TRITON_URL={settings.triton_url} is not on this machine; it is used and not started"
        tell(f"{TRITON}: {why_no_triton(settings) or elsewhere}")
    return wanted


def _prove(settings: Settings, wanted: Sequence[Part], tell: Tell, strict: bool) -> list[sample_table.Seen]:
    """A drawn scene through each side. A side that is switched off is no fault, nor one that is not ours."""
    sides = [side for side in SIDES if side != LEGACY or settings.legacy_enabled]
    seen = sample_table.look(BackendApi.of(settings), sample_jpeg(), DETECTORS, sides)
    tell("", "The drawn scene ai/core/sample.jpg, through each side:", "")
    tell(*sample_table.table(seen).split("\n"), "", *sample_table.verdicts(seen))
    here = {LEGACY, *(part.name for part in wanted)}
    faults = [one for one in seen if one.problem and not one.off and one.side in here]
    if faults and strict:
        raise StackError(f"{faults[0].detector} was not answered by {faults[0].side}: {faults[0].problem}")
    return seen


def _document(
    settings: Settings, wanted: Sequence[Part], running: Sequence[Running], seen: Sequence[sample_table.Seen]
) -> dict[str, object]:
    pids = {one.name: one.pid for one in running}
    return {
        "url": BackendApi.of(settings).url,
        "parts": [{"name": part.name, "url": part.url, "pid": pids.get(part.name)} for part in wanted],
        "seen": [{**asdict(one), "found": [label for label, _ in one.found]} for one in seen],
        "rollout": rollout_of(settings),
        "logs": str(settings.crossfade_var / "log"),
    }


def _show_ways(settings: Settings, wanted: Sequence[Part]) -> None:
    api, program = BackendApi.of(settings), Path(sys.argv[0])
    mention(
        "",
        f"  console     {_console(api)}",
        f"  API docs    {api.url}/docs",
        f"  health      {api.url}/health/ready",
        f"  metrics     {api.url}/metrics",
    )
    for part in wanted:
        if part.url != api.url:
            mention(f"  {part.name:11} {part.url}")
    mention(
        f"  logs        {settings.crossfade_var / 'log'}",
        f"  admin key   {'in API_KEYS' if 'admin' in settings.api_keys else key_file(settings)}",
        "",
        f"  a picture   {program} detect PICTURE.jpg",
        f"  ramp        {program} rollout set --fraction 0.25",
        f"  by itself   {program} models parity, then {program} ramp start and ramp watch",
        f'  roll back   {program} rollout rollback --reason "what you saw"',
    )
    if rollout := rollout_of(settings):
        mention("", rollout_line(rollout))
    if given := first_values(settings):
        values = ", ".join(f"{name}={value}" for name, value in given.items())
        mention(f"{values} for a first time; the environment or .env can say otherwise")


def _console(api: BackendApi) -> str:
    """No log gets to hold a key: the link with it is for a terminal alone."""
    link = link_of(api) if is_redrawn(sys.stdout) else None
    return link or f"{api.url}/   (`crossfade console` gives the link with your key)"


def _down(args: argparse.Namespace, settings: Settings) -> int:
    journal, said = Journal(settings.crossfade_var), complain if args.json else mention
    journal.call_off_a_start(said)
    running = journal.known()
    journal.end(running, said)
    if not running:
        said("Nothing was running.")
    if args.json:
        tell_document({"ended": [{"name": one.name, "pid": one.pid} for one in running]})
    return 0


def _logs(args: argparse.Namespace, settings: Settings) -> int:
    known = {part.name: part for part in parts(settings)}
    if unknown := [name for name in args.parts if name not in known]:
        near = like(unknown[0], known)
        raise StackError(f"no part is called {unknown[0]!r}; there are: {', '.join(known)}{near}")
    chosen = [known[name] for name in args.parts or known]
    said: Tell = _say_as_json if args.json else say
    if args.follow:
        logs.follow(chosen, args.lines, said)
    else:
        logs.show(chosen, args.lines, said)
    return 0


def _say_as_json(told: str) -> None:
    part, _, line = told.partition(" | ")
    say(json.dumps({"part": part, "line": line}))


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
