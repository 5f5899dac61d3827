"""Which signals are one word, and what each word does."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from backend.stack import signals
from backend.stack.signals import asked_to_end, ended_by_signals, held

APART_S = 0.2


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_TOGETHER_S", APART_S)


def tell(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def interrupted(block: Callable[[], object]) -> bool:
    """Whether Ctrl-C is what left it."""
    try:
        block()
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block(number: signal.Signals) -> None:
    went_on = []

    def block() -> None:
        with ended_by_signals():
            tell(number)
            went_on.append(True)

    assert interrupted(block)
    assert not went_on


def test_what_comes_together_with_the_first_does_not_disturb_the_ending() -> None:
    """It fell between the first one and `held`, and the parts of `crossfade up` ran on without it."""
    ended = []

    def block() -> None:
        with ended_by_signals():
            try:
                tell()
            finally:
                tell()
                tell(signal.SIGINT)
                with held() as came:
                    tell()
                    ended.append(came())

    assert interrupted(block)
    assert ended == [True]


def test_a_later_one_ends_the_ending() -> None:
    ended = []

    def block() -> None:
        with ended_by_signals():
            try:
                tell()
            finally:
                time.sleep(APART_S)
                tell()
                ended.append(True)

    assert interrupted(block)
    assert not ended


def test_who_is_asked_to_end_is_asked_once_and_then_ended() -> None:
    seen: list[str] = []

    def block() -> None:
        with asked_to_end(lambda: seen.append("asked")):
            tell()
            tell()
            seen.append("goes on")
            time.sleep(APART_S)
            tell()
            seen.append("goes on for ever")

    assert interrupted(block)
    assert seen == ["asked", "goes on"]
