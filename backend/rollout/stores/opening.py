"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path

from ai.core.errors import BadSetting
from backend.rollout.store import Store
from backend.rollout.stores.memory_store import MemoryStore
from backend.rollout.stores.redis_address import RedisAddress
from backend.rollout.stores.sqlite_store import SqliteStore

SQLITE = "sqlite:///"
REDIS = ("redis://", "rediss://")
MEMORY = "memory:"
NONE_OF_THESE = "ROLLOUT_STORE is none of sqlite:///PATH, redis[s]://… and memory:"  # it may hold a password


def open_store(url: str) -> Store:
    """Nothing is touched before its first use. BadSetting where it is none, or the library for it is not installed."""
    if url.startswith(REDIS):
        return _redis(url)
    if url.startswith(SQLITE):
        return SqliteStore(Path(url.removeprefix(SQLITE)))
    if url == MEMORY:
        return MemoryStore()
    raise BadSetting(NONE_OF_THESE)


def store_name(url: str) -> str:
    """Which one it is, for journals and for people: without a user's name and password."""
    if url.startswith(REDIS):
        return RedisAddress.of(url).name
    if url.startswith(SQLITE):
        return SQLITE + str(Path(url.removeprefix(SQLITE)).resolve())
    if url == MEMORY:
        return url
    raise BadSetting(NONE_OF_THESE)


def file_of(url: str) -> Path | None:
    """Where it is, of one that is a file."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def _redis(url: str) -> Store:
    try:
        from backend.rollout.stores.redis_store import RedisStore  # noqa: PLC0415 - only a fleet needs the library
    except ModuleNotFoundError as error:
        raise BadSetting(
            "ROLLOUT_STORE is a Redis, and the library for it is not installed: pip install 'crossfade[fleet]'"
        ) from error
    return RedisStore(RedisAddress.of(url))
