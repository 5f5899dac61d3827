"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path

from backend.rollout.memory_store import MemoryStore
from backend.rollout.sqlite_store import SqliteStore
from backend.rollout.store import Store

SQLITE = "sqlite:///"


def open_store(url: str) -> Store:
    """Nothing is touched before its first use."""
    if url.startswith(SQLITE):
        return SqliteStore(Path(url.removeprefix(SQLITE)))
    return MemoryStore()
