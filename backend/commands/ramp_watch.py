"""`crossfade ramp watch`: the ramps as they go, drawn in place on a terminal, a line a change in a pipe."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from ai.terminal.printable import printable
from backend.commands.ramp_words import cut, described, ended_badly, is_over, one_line, turn_of
from backend.commands.statuses import Status
from backend.commands.words import complain, nobody_listens, say
from backend.stack.backend_api import Away, BackendApi, NotAnswered
from backend.stack.errors import StackError

EVENTS = "/api/rollout/events"
AGAIN_S = 1.0
LOST = "connection lost, trying again"
Table = dict[str, Any]
Sleep = Callable[[float], None]


def watched(
    api: BackendApi,
    detector: str | None,
    screen: Screen | Lines | Documents,
    once: bool,
    sleep: Sleep = time.sleep,
) -> int:
    """Until every ramp that was on is over; 1 where one of them ended by a rollback or an abort."""
    try:
        return _watched(api, detector, screen, once, sleep)
    except BrokenPipeError:
        return Status.NOBODY_LISTENS


def _watched(
    api: BackendApi, detector: str | None, screen: Screen | Lines | Documents, once: bool, sleep: Sleep
) -> int:
    names: set[str] | None = None
    for ramps in looks(api, screen.lost, sleep):
        if names is None:
            names = _chosen(ramps, detector)
        mine = {name: ramp for name, ramp in ramps.items() if name in names}
        screen.show(mine)
        if once or all(is_over(ramp) for ramp in mine.values()):
            return 1 if any(ended_badly(ramp) for ramp in mine.values()) else 0
        if nobody_listens():
            return Status.NOBODY_LISTENS
    raise AssertionError("what is new has no end")


def looks(api: BackendApi, lost: Callable[[], None], sleep: Sleep = time.sleep) -> Iterator[dict[str, Table]]:
    """The ramps at each change of them, for ever; who was never there is no lost connection."""
    was_there = False
    while True:
        ramps: dict[str, Table] | None = None
        try:
            for event, told in api.events(EVENTS):
                was_there = True
                if event == "traffic":
                    continue
                ramps = _after(ramps, event, told)
                if ramps is not None:
                    yield ramps
        except (Away, NotAnswered) as error:
            if not was_there or not _passes(error):
                raise
        lost()
        sleep(AGAIN_S)


class Screen:
    """Drawn over what it drew before."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._height = 0

    def show(self, ramps: dict[str, Table]) -> None:
        self._lines = described(ramps)
        self._draw(self._lines)

    def lost(self) -> None:
        self._draw([*self._lines, LOST])

    def _draw(self, lines: list[str]) -> None:
        """What is higher than the terminal cannot be drawn over: the first lines are what is kept then."""
        size = shutil.get_terminal_size()
        shown = cut([printable(line) for line in lines], size.columns - 1)[: size.lines - 1]
        back = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        say(*shown, codes=back)
        self._height = len(shown)


class Lines:
    """One for each change, and nothing for figures that merely grow."""

    def __init__(self) -> None:
        self._turns: dict[str, tuple[object, ...]] = {}
        self._is_lost = False

    def show(self, ramps: dict[str, Table]) -> None:
        self._is_lost = False
        for detector, ramp in sorted(ramps.items()):
            if self._turns.get(detector) != (turn := turn_of(ramp)):
                self._turns[detector] = turn
                say(one_line(detector, ramp))

    def lost(self) -> None:
        if not self._is_lost:
            complain(LOST)
        self._is_lost = True


class Documents:
    """Each change of anything as one line of JSON."""

    def show(self, ramps: dict[str, Table]) -> None:
        say(json.dumps({"ramps": ramps}))

    def lost(self) -> None:
        complain(LOST)


def screen_for(as_json: bool) -> Screen | Lines | Documents:
    if as_json:
        return Documents()
    return Screen() if sys.stdout.isatty() else Lines()


def _after(ramps: dict[str, Table] | None, event: str, told: Table) -> dict[str, Table] | None:
    """With what an event tells; None as long as the ramps were not told at all."""
    if event == "rollout":
        return {**told["ramps"]}
    detector = str(told.get("detector"))
    if event != "look" or ramps is None or detector not in ramps:
        return ramps
    return {**ramps, detector: {**ramps[detector], "look": told}}


def _chosen(ramps: dict[str, Table], detector: str | None) -> set[str]:
    """Those that are under way; where none is, all that there were."""
    if detector is not None and detector not in ramps:
        raise StackError(f"{detector} has no ramp; `crossfade ramp start` starts one")
    if not ramps:
        raise StackError("there is no ramp; `crossfade ramp start` starts one")
    under_way = {name for name, ramp in ramps.items() if not is_over(ramp)}
    return {detector} if detector is not None else under_way or set(ramps)


def _passes(error: Away | NotAnswered) -> bool:
    """A backend that starts, or has too many listeners, is worth another try; one that knows no such key is not."""
    return isinstance(error, Away) or error.status >= httpx.codes.INTERNAL_SERVER_ERROR
