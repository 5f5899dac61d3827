"""A Redis of our own for as long as a measurement takes, which keeps nothing on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from benchmarks.processes import Program


def redis_program(folder: Path) -> Program | None:
    """None where there is no redis-server (Debian: apt-get install redis-server)."""
    found = shutil.which("redis-server")
    if found is None:
        return None

    def command(port: int) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            found, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly",
            "no",
        ]  # fmt: skip

    return Program("redis", command, _answers)


def redis_url(url: str, prefix: str = "crossfade") -> str:
    """Of the server at `running`'s URL, under a name of its own for each store."""
    return f"redis://127.0.0.1:{urlsplit(url).port}/0?prefix={prefix}"


def _answers(url: str) -> dict[str, Any]:
    with redis.Redis(port=urlsplit(url).port or 0, socket_timeout=5.0) as client:
        try:
            return {"status": "healthy"} if client.ping() else {}
        except redis.RedisError:
            return {}
