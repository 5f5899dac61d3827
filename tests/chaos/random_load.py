"""The load of a random run: who asks, of which camera and how patiently, drawn from the seed; every answer in a file.

Each request carries its number as the caller's own id, which the backend's log repeats: so each line of the log is
somebody's, and a caller that hung up finds out what became of his.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import IO, Any
from urllib.parse import urlsplit

from tests.callers import Caller, Reply
from tests.chaos.load import NEAR_PX, scenes
from tests.chaos.random_faults import CAMERAS

PATIENT_S = 20.0  # far beyond any deadline, so that a hang is seen as one
SHORT_S = (0.005, 0.12)  # Frigate waits for 0.1 s
IMPATIENT = 0.06  # of the callers
NAMELESS = 0.1  # of them: no camera
IDLE_S = 5.0  # a connection that rested for so long is not used again: the backend may be about to end it
MOST_UNDER_WAY = 2000
LOOK_S = 0.1
CONTROL_S = 10.0  # for an answer that needs no side


@dataclass(frozen=True)
class Asked:
    """One request, as it stands in requests.jsonl (unix time)."""

    number: int
    camera: str | None
    scene: int
    patience_s: float
    connected: float  # since when the connection is open that carried it
    sent: float
    ended: float
    status: int  # 0: no answer
    request_id: str = ""
    side: str | None = None
    reason: str | None = None
    fallback_reason: str | None = None
    attempts: int = 0
    flag_version: int = -1
    bucket: int = -1
    shows: int | None = None  # the scene whose box it is; None: nobody's
    problem: bool = False  # it is an RFC 9457 problem, of its status
    retry_after: str | None = None
    error: str = ""


class NumberedCaller(Caller):
    """Remembers since when it is connected, and when it was last asked."""

    connected = 0.0
    used = 0.0

    def of_request(self, number: int, camera: str | None, jpeg: bytes, host: str) -> None:
        path = "/api/detect" + (f"?camera={camera}" if camera else "")
        self.request = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\nX-Request-ID: {number}\r\n"
            f"Content-Length: {len(jpeg)}\r\n\r\n"
        ).encode() + jpeg

    async def ask(self, patience_s: float = PATIENT_S) -> Reply:
        if self._writer is None:
            self.connected = time.time()
        reply = await super().ask(patience_s)
        self.used = time.time()
        return reply


class RandomLoad:
    """An open loop: so many a second, whatever becomes of them."""

    def __init__(self, url: str, seed: int, per_s: float, file: IO[str]) -> None:
        self.sent = 0
        self._url, self._host, self._seed, self._per_s = url, urlsplit(url).netloc, seed, per_s
        self._file = file
        self._idle: list[NumberedCaller] = []
        self._ending = threading.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        self._ending.set()

    async def run(self, longest_s: float) -> None:
        due = time.monotonic()
        ends_at = due + longest_s
        while not self._ending.is_set() and time.monotonic() < ends_at:
            if len(self._under_way) < MOST_UNDER_WAY:
                self._send()
            due += 1 / self._per_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if self._under_way:
            await asyncio.wait(self._under_way)
        for caller in self._idle:
            caller.hang_up()

    def _send(self) -> None:
        number, self.sent = self.sent, self.sent + 1
        task = asyncio.create_task(self._ask(number))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, number: int) -> None:
        random = Random(f"{self._seed} {number}")
        camera = None if random.random() < NAMELESS else random.choice(CAMERAS)
        patience_s = random.uniform(*SHORT_S) if random.random() < IMPATIENT else PATIENT_S
        scene = random.randrange(len(scenes()))
        caller = self._caller()
        caller.of_request(number, camera, scenes()[scene].jpeg, self._host)
        reply = await caller.ask(patience_s)
        self._idle.append(caller)
        asked = asked_of(number, camera, scene, patience_s, caller.connected, reply)
        self._file.write(json.dumps(asdict(asked)) + "\n")

    def _caller(self) -> NumberedCaller:
        while self._idle and time.time() - self._idle[0].used > IDLE_S:
            self._idle.pop(0).hang_up()
        return self._idle.pop() if self._idle else NumberedCaller(self._url)


def asked_of(
    number: int, camera: str | None, scene: int, patience_s: float, connected: float, reply: Reply
) -> Asked:
    served = dict(reply.document.get("served_by", {}))
    return Asked(
        number, camera, scene, patience_s, connected, reply.began, reply.ended, reply.status,
        request_id=reply.headers.get("x-request-id", ""),
        side=served.get("backend"), reason=served.get("reason"), fallback_reason=served.get("fallback_reason"),
        attempts=served.get("attempts", 0), flag_version=served.get("flag_version", -1),
        bucket=served.get("bucket", -1), shows=_shown(reply.document, scene) if reply.status == 200 else None,
        problem=_is_problem(reply), retry_after=reply.headers.get("retry-after"),
        error=str(reply.document.get("error") or reply.document.get("detail") or "")[:300],
    )  # fmt: skip


def _shown(document: dict[str, Any], own: int) -> int | None:
    """Its own where it fits, else any other that does."""
    found = document.get("detections", ())
    if len(found) != 1:
        return None
    box = [found[0]["bbox"][name] for name in ("x", "y", "width", "height")]
    fitting = [
        number for number, scene in enumerate(scenes())
        if all(abs(one - other) <= NEAR_PX for one, other in zip(box, scene.box, strict=True))
    ]  # fmt: skip
    return own if own in fitting else next(iter(fitting), None)


def _is_problem(reply: Reply) -> bool:
    return (
        reply.headers.get("content-type") == "application/problem+json"
        and reply.document.get("status") == reply.status
        and bool(reply.document.get("title"))
    )


@contextmanager
def random_load(
    url: str, seed: int, longest_s: float, folder: Path, per_s: float = 50.0
) -> Iterator[RandomLoad]:
    """In a thread of its own, with a control beside it; nobody waits for an answer when the block has ended."""
    if urlsplit(url).hostname != "127.0.0.1":
        raise ValueError(f"{url} is not on this machine")
    scenes()
    with ExitStack() as stack:
        file = stack.enter_context((folder / "requests.jsonl").open("w"))
        controls = stack.enter_context((folder / "controls.jsonl").open("w"))
        load = RandomLoad(url, seed, per_s, file)
        control = Control(url, controls)
        threads = [
            threading.Thread(target=lambda: asyncio.run(load.run(longest_s)), name="load"),
            threading.Thread(target=control.run, name="control"),
        ]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.end()
            threads[0].join(PATIENT_S + 10)
            control.end()
            threads[1].join(CONTROL_S + 10)
            assert not any(thread.is_alive() for thread in threads), "the load did not end"


class Control:
    """Asks for what needs no side, on a new connection each time, so that any worker may get it."""

    def __init__(self, url: str, file: IO[str]) -> None:
        self._host, self._file = urlsplit(url).netloc, file
        self._ending = threading.Event()

    def end(self) -> None:
        self._ending.set()

    def run(self) -> None:
        while not self._ending.wait(LOOK_S):
            at = time.time()
            answered = self._ask()
            row = {"at": at, "took_s": round(time.time() - at, 4), "answered": answered}
            self._file.write(json.dumps(row) + "\n")

    def _ask(self) -> bool:
        connection = http.client.HTTPConnection(self._host, timeout=CONTROL_S)
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False  # its worker was killed
        finally:
            connection.close()
