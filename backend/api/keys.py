"""Who may do what: keys with a name and a role.

A key is kept as its hash, and stands in no message. Where none is configured an admin key is made at the first start
and kept in a file that only its owner can read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from ai.core.errors import BadSetting
from ai.web.problems import Problem
from backend.settings import Settings

HEADER = "X-API-Key"
KEY_FILE = "admin-key"  # in CROSSFADE_VAR

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_KEY = re.compile(r"[!-~]{1,200}")


class Role(IntEnum):
    """Each may do what those before it may."""

    CALLER = 1  # detect
    VIEWER = 2  # see the rollout and the pictures
    ADMIN = 3  # change it


@dataclass(frozen=True, slots=True)
class Key:
    name: str  # the *who* of the history
    role: Role
    digest: bytes = field(repr=False)  # a short key is soon found by it


@dataclass(frozen=True, slots=True)
class Keys:
    known: tuple[Key, ...]

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        """Those of API_KEYS, else the generated one; BadSetting for keys that cannot be."""
        if settings.api_keys.strip():
            return cls.parsed(settings.api_keys)
        return cls((Key("admin", Role.ADMIN, _digest(admin_key(settings.crossfade_var))),))

    @classmethod
    def parsed(cls, text: str) -> Keys:
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if not entries:
            raise BadSetting("API_KEYS holds no key; it must be name:role:key,…, or empty")
        known = tuple(_parsed(number, entry) for number, entry in enumerate(entries, 1))
        _require_different((key.name for key in known), "name", known)
        _require_different((key.digest for key in known), "key", known)
        return cls(known)

    @property
    def detection_is_open(self) -> bool:
        return all(key.role != Role.CALLER for key in self.known)

    def require_caller(self, presented: str | None) -> None:
        """Anybody, until there is a key for it; then whoever has one."""
        if not self.detection_is_open:
            self.require(Role.CALLER, presented)

    def key_of(self, presented: str) -> Key | None:
        """Every known key is compared, so that the time says nothing."""
        digest = _digest(presented)
        matching = [key for key in self.known if hmac.compare_digest(key.digest, digest)]
        return matching[0] if matching else None

    def require(self, role: Role, presented: str | None) -> Key:
        if presented is None:
            raise _unauthorized(f"this needs a key of role {role.name.lower()}, sent as {HEADER}")
        key = self.key_of(presented)
        if key is None:
            raise _unauthorized(f"the key sent as {HEADER} is not known here")
        if key.role < role:
            detail = f"the key of {key.name} has role {key.role.name.lower()}; this needs {role.name.lower()}"
            raise Problem(403, detail)
        return key


def admin_key(var: Path) -> str:
    """The generated key. Of several workers that start at once the first makes it, and all read the same."""
    path = var / KEY_FILE
    try:
        if not path.exists():
            _publish(path, secrets.token_urlsafe(32))
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"the admin key in {path} cannot be read or made: {error}") from error
    if not _KEY.fullmatch(key):
        raise BadSetting(f"{path} holds no key; delete it, and a new one is made")
    return key


def _publish(path: Path, key: str) -> None:
    """Whole or not at all: a link, unlike a file that is opened and then written, is never seen empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    draft.touch(0o600, exist_ok=False)
    draft.write_text(key + "\n", encoding="ascii")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another worker was first
    finally:
        draft.unlink()


def _parsed(number: int, entry: str) -> Key:
    """Nothing of an entry is repeated that may be its key."""
    name, role, key = _three(number, entry)
    if not _NAME.fullmatch(name):
        raise BadSetting(
            f"API_KEYS: entry {number} has a name that is not 1 to 64 of letters, digits and ._@-"
        )
    if role.upper() not in Role.__members__:
        raise BadSetting(f"API_KEYS: entry {number} ({name}) has an unknown role; it must be {_roles()}")
    if not _KEY.fullmatch(key):
        raise BadSetting(
            f"API_KEYS: entry {number} ({name}) has a key that is not 1 to 200 printable ASCII signs"
        )
    return Key(name, Role[role.upper()], _digest(key))


def _three(number: int, entry: str) -> Sequence[str]:
    parts = [part.strip() for part in entry.split(":", 2)]
    if len(parts) != 3:
        raise BadSetting(f"API_KEYS: entry {number} is not name:role:key, such as frigate:caller:…")
    return parts


def _require_different(values: Iterable[object], what: str, known: tuple[Key, ...]) -> None:
    seen: dict[object, Key] = {}
    for value, key in zip(values, known, strict=True):
        if value in seen:
            raise BadSetting(f"API_KEYS: the entries {seen[value].name} and {key.name} have the same {what}")
        seen[value] = key


def _roles() -> str:
    return ", ".join(role.name.lower() for role in Role)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, {"WWW-Authenticate": f'ApiKey header="{HEADER}"'})
