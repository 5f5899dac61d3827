"""Which signals are one word, and what each word does."""

import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from backend.stack import signals
from backend.stack.signals import asked_to_end, ended_by_signals, held

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Clock:
    now = 1_000.0

    def pass_by(self) -> None:
        self.now += 2 * signals._TOGETHER_S


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture(autouse=True)
def stray() -> Iterator[list[int]]:
    """What no block hears is noted: it would end the tests, or be ignored where they run in the background."""
    noted: list[int] = []
    before = {number: signal.signal(number, lambda number, _: noted.append(number)) for number in ENDING}
    yield noted
    for number, handler in before.items():
        signal.signal(number, handler)
    assert not noted


def tell(number: signal.Signals = signal.SIGTERM) -> None:
    signal.raise_signal(number)  # in this thread: `kill` may tell another one


def interrupted(block: Callable[[], object]) -> bool:
    """Whether Ctrl-C is what left it."""
    try:
        block()
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_block(number: signal.Signals) -> None:
    went_on = []

    def block() -> None:
        with ended_by_signals():
            tell(number)
            went_on.append(True)

    assert interrupted(block)
    assert not went_on


def while_it_ends(ending: Callable[[], None]) -> bool:
    """A block is told to end, and does this meanwhile; whether Ctrl-C is what left it."""

    def block() -> None:
        with ended_by_signals():
            try:
                tell()
            finally:
                ending()

    return interrupted(block)


def test_what_comes_together_with_the_first_does_not_disturb_the_ending(clock: Clock) -> None:
    """It fell between the first one and `held`, and the parts of `crossfade up` ran on without it."""
    ended = []

    def ending() -> None:
        tell()
        tell(signal.SIGINT)
        with held() as came:
            tell()
            ended.append(came())

    assert while_it_ends(ending)
    assert ended == [True]


def test_a_later_one_ends_the_ending(clock: Clock) -> None:
    ended = []

    def ending() -> None:
        clock.pass_by()
        tell()
        ended.append(True)

    assert while_it_ends(ending)
    assert not ended


def test_who_is_asked_to_end_is_asked_once_and_then_ended(clock: Clock) -> None:
    seen: list[str] = []

    def block() -> None:
        with asked_to_end(lambda: seen.append("asked")):
            tell()
            tell()
            seen.append("goes on")
            clock.pass_by()
            tell()
            seen.append("goes on for ever")

    assert interrupted(block)
    assert seen == ["asked", "goes on"]


def test_a_signal_that_was_ignored_stays_so() -> None:
    """That is how `nohup` works."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            tell(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
