"""Fixtures that tests of more than one folder share."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.settings import WATCHED
from tests.rollout_house import House

HERE = Path(__file__).parent
BESIDE = {"contract", "fuzz", "security", "unit"}


def pytest_configure() -> None:
    """A background job inherits Ctrl-C ignored, one of nohup a hangup, and would hand that on to every process under
    test."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs few parts and measures nothing may run beside many others; of the rest, what says so."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in BESIDE and not item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.beside)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def nothing_said_of_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment, whoever runs the tests."""
    for name in WATCHED:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def house(tmp_path: Path, nothing_said_of_flags: None) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.close()
