"""What a line can suffer on its way, each fault a frozen dataclass; `tests.fault_proxy` does it to real connections.

A behaviour is handed the bytes of one flow (the caller's question or the server's answer), passes on as much as it
likes and gives back what is left; it is asked again until nothing is. While it waits it may be replaced by another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Literal, Protocol

Direction = Literal["question", "answer", "both"]
QUESTION: Direction = "question"
ANSWER: Direction = "answer"
BOTH: Direction = "both"

DRIPS_PER_S = 20
# A record of TLS: alert, fatal, "unexpected message". https://www.rfc-editor.org/rfc/rfc8446#section-6
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x0a"


class Flow(Protocol):
    """One direction of one connection, as a behaviour sees it."""

    answered: int  # bytes since the other direction last said something
    begins: bool  # whether these bytes were waited for; else they follow hard upon the last ones

    @property
    def random(self) -> Random:
        """Anew from its seed with each behaviour."""

    async def send(self, data: bytes) -> None: ...

    async def undisturbed(self, seconds: float | None) -> bool:
        """Waits so long, for ever if None; False as soon as another behaviour is in force."""

    def count(self, what: str, how_many: int = 1) -> None: ...


class Line(Protocol):
    """One connection."""

    is_open: bool  # the server knows of it

    def lose(self) -> None:
        """Nothing passes from now on, whatever else is in force."""

    def finish_answer(self) -> None:
        """FIN to the caller; what it writes is read as before."""

    def cut(self, last_words: bytes = b"") -> None:
        """Its end: these words and FIN to the caller."""

    def reset(self) -> None:
        """Its end: RST to both sides."""


@dataclass(frozen=True)
class Behaviour:
    """Health: all that comes is passed on. Direction is whose bytes are spoilt, where that can be chosen."""

    direction: Direction = field(default=ANSWER, kw_only=True)
    listens: ClassVar[bool] = True  # else connections are refused
    silent: ClassVar[bool] = False  # not even an end is passed on

    def concerns(self, direction: Direction) -> bool:
        return self.direction in (direction, BOTH)

    def meets(self, line: Line, flow: Flow) -> None:
        """Each line that is open when this comes into force, and each that is opened later; `flow` is its answer."""

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        await flow.send(data)
        return b""


HEALTHY = Behaviour()


@dataclass(frozen=True)
class Latency(Behaviour):
    """What was waited for comes later by so much, and what comes meanwhile by up to twice as much."""

    s: float

    def delay_s(self, flow: Flow) -> float:
        return self.s

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        if flow.begins:
            flow.count("delays")
            if not await flow.undisturbed(self.delay_s(flow)):
                return data
        return await super().passes(data, flow, line)


@dataclass(frozen=True)
class Jitter(Latency):
    """A latency that is drawn anew each time."""

    s: float = field(init=False, default=0.0)
    low_s: float
    high_s: float
    seed: int = 0

    def delay_s(self, flow: Flow) -> float:
        return flow.random.uniform(self.low_s, self.high_s)


@dataclass(frozen=True)
class Drip(Behaviour):
    bytes_per_s: float

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        size = max(1, int(self.bytes_per_s / DRIPS_PER_S))
        drop, rest = data[:size], data[size:]
        flow.count("drips")
        await flow.send(drop)
        await flow.undisturbed(len(drop) / self.bytes_per_s)
        return rest


@dataclass(frozen=True)
class Blackhole(Behaviour):
    """Connections are accepted and what is said is not passed on: not while this lasts, and then as if resent."""

    direction: Direction = field(default=BOTH, kw_only=True)
    silent: ClassVar[bool] = True

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        flow.count("silences")
        await flow.undisturbed(None)
        return data


@dataclass(frozen=True)
class Lose(Behaviour):
    """What is open falls silent for ever, as where something between forgot it; what is opened later is healthy."""

    def meets(self, line: Line, flow: Flow) -> None:
        if line.is_open:
            flow.count("losses")
            line.lose()


@dataclass(frozen=True)
class _Ending(Behaviour):
    """Something happens to a line when so much of an answer has passed; at 0 at once, before it is asked."""

    after_bytes: int = 0

    def end(self, line: Line, flow: Flow) -> None:
        raise NotImplementedError

    def meets(self, line: Line, flow: Flow) -> None:
        if self.after_bytes == 0:
            self.end(line, flow)

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        left = max(0, self.after_bytes - flow.answered)
        if data[:left]:
            await flow.send(data[:left])
        if len(data) >= left:
            self.end(line, flow)
        return b""


@dataclass(frozen=True)
class Reset(_Ending):
    def end(self, line: Line, flow: Flow) -> None:
        flow.count("resets")
        line.reset()


@dataclass(frozen=True)
class CutMidBody(_Ending):
    def end(self, line: Line, flow: Flow) -> None:
        flow.count("cuts")
        line.cut()


@dataclass(frozen=True)
class HalfClose(_Ending):
    """The answer ends; the question is still read."""

    def end(self, line: Line, flow: Flow) -> None:
        flow.count("half_closes")
        line.finish_answer()


@dataclass(frozen=True)
class Duplicate(Behaviour):
    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        flow.count("duplicated_bytes", len(data))
        await flow.send(data)
        await flow.send(data)
        return b""


@dataclass(frozen=True)
class Corrupt(Behaviour):
    """About one bit in so many bytes is flipped."""

    every_bytes: int
    seed: int = 0

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        spoilt = bytearray(data)
        place = self._gap(flow)
        while place < len(spoilt):
            spoilt[place] ^= 1 << flow.random.randrange(8)
            flow.count("flipped_bits")
            place += 1 + self._gap(flow)
        await flow.send(bytes(spoilt))
        return b""

    def _gap(self, flow: Flow) -> int:
        return int(flow.random.expovariate(1 / self.every_bytes))


@dataclass(frozen=True)
class Refuse(Behaviour):
    """Nobody listens, and what is open is reset: the process is gone. The port stays ours."""

    listens: ClassVar[bool] = False

    def meets(self, line: Line, flow: Flow) -> None:
        flow.count("resets")
        line.reset()


@dataclass(frozen=True)
class Flap:
    """Refuse and health by turns, each for so long; it begins with the first."""

    period_s: float


@dataclass(frozen=True)
class WrongTls(Behaviour):
    """To whoever speaks plain text it says what a port says that speaks TLS."""

    def concerns(self, direction: Direction) -> bool:
        return direction == QUESTION

    async def passes(self, data: bytes, flow: Flow, line: Line) -> bytes:
        flow.count("tls_alerts")
        line.cut(TLS_ALERT)
        return b""
