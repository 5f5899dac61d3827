"""Most of what lies here waits for little and measures nothing: it may run beside others."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.beside)
