"""A secret that a file holds, as containers mount them: NAME_FILE in place of NAME."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECRETS = ("api_keys", "rollout_store")


def secret_of(name: str, values: Mapping[str, Any]) -> str:
    """What NAME_FILE holds. A file that is not there must never read as "none configured"."""
    variable, path = f"{name}_file".upper(), Path(values[f"{name}_file"])
    if not str(values[f"{name}_file"]).strip():
        raise ValueError(f"{variable} is empty: it must name a file, or not be set")
    if values.get(name):
        raise ValueError(f"{name.upper()} and {variable} are both set; one of them is enough")
    return held_by(variable, path)


def held_by(variable: str, path: Path) -> str:
    """ValueError where it cannot be read, or holds nothing."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(f"{_said(variable, path)}: cannot be read: {reason}") from None
    if not secret:
        raise ValueError(f"{_said(variable, path)}: the file is empty")
    return secret


def _said(variable: str, path: Path) -> str:
    """Of a path that does not begin at the root nothing is repeated: by a slip it may be the secret itself."""
    return f"{variable}='{path}'" if path.is_absolute() else f"{variable}, the file that it names"
