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


def open_store(url: str) -> Store:
    """Nothing is touched before its first use. BadSetting where the library for it is not installed."""
    if url.startswith(REDIS):
        return _redis(url)
    if url.startswith(SQLITE):
        return SqliteStore(Path(url.removeprefix(SQLITE)))
    return MemoryStore()


def store_name(url: str) -> str:
    """Which one it is, for journals and for people: without a user's name and password."""
    if url.startswith(REDIS):
        return RedisAddress.of(url).name
    if url.startswith(SQLITE):
        return SQLITE + str(Path(url.removeprefix(SQLITE)).resolve())
    return url


def _redis(url: str) -> Store:
    try:
        from backend.rollout.stores.redis_store import RedisStore  # noqa: PLC0415 - only a fleet needs the library
    except ModuleNotFoundError as error:
        raise BadSetting(
            "ROLLOUT_STORE is a Redis, and the library for it is not installed: pip install 'crossfade[fleet]'"
        ) from error
    return RedisStore(RedisAddress.of(url))
