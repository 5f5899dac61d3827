"""What the watched `.env` may change while running; its two sources are read apart, since one may hide the other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from pydantic import TypeAdapter

from backend.settings.kinds import Share

ENV_FILE = Path(".env")
WATCHED = ("TRITON_ENABLED", "TRITON_TRAFFIC_FRACTION", "TRITON_SHADOW_FRACTION")
_SWITCH = TypeAdapter(bool)
_SHARE: TypeAdapter[float] = TypeAdapter(Share)


def whole_environment() -> dict[str, str]:
    """The environment that processes of ours are started in."""
    return dict(os.environ)  # noqa: TID251 - settings read the environment


def watched_of_environment() -> dict[str, str]:
    return _watched(os.environ)  # noqa: TID251 - settings read the environment


def watched_of_env_file(text: str) -> dict[str, str]:
    return _watched(dotenv_values(stream=StringIO(text)))


def switch_of(word: str) -> bool:
    """ValueError where it is neither true nor false; the same words as at the start."""
    return _SWITCH.validate_python(word.strip())


def share_of(word: str) -> float:
    """ValueError where it is no number from 0 to 1."""
    return _SHARE.validate_python(word.strip())


def _watched(words: Mapping[str, str | None]) -> dict[str, str]:
    return {
        name.upper(): word for name, word in words.items() if name.upper() in WATCHED and word is not None
    }
