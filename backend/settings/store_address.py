"""The address of the store: whether it is one, and what of it may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def without_secrets(url: str) -> str:
    """A file's path as it is; of anything that may hold a password its kind alone."""
    kind, colon, _ = url.partition(":")
    if kind in ("sqlite", "memory") or not (colon or "@" in url):
        return url
    return f"{kind}:…" if colon and "@" not in kind else "…"


def is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("redis", "rediss")
        and bool(parts.hostname)
        and port != 0
        and bool(re.fullmatch(r"(/\d{0,5})?", parts.path))
        and bool(re.fullmatch(r"(prefix=[\w.:-]{1,100})?", parts.query))
        and not parts.fragment
    )
