"""The store: whether it can be read, and if not, whose turn it is."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ai.core.errors import CrossfadeError
from backend.doctor.finding import Finding, Patient
from backend.rollout.stores.opening import REDIS, file_of, open_store, store_name

_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_PRIMARY = 0xFF  # of an extended code of SQLite's


def store(patient: Patient) -> Iterator[Finding]:
    url = patient.settings.store_url
    file = file_of(url)
    if url == "memory:":
        yield Finding("store", "OK", "in memory: one worker, forgotten at its end")
    elif file is not None and not file.exists():
        yield Finding("store", "OK", f"{file} is made at the first start")
    else:
        yield _opened(url, file)


def _opened(url: str, file: Path | None) -> Finding:
    try:
        opened = open_store(url)
        try:
            change = opened.read().change
        finally:
            opened.close()
    except CrossfadeError as error:
        return Finding("store", "FAIL", str(error), _of_file(file, error) if file else _of_redis(url))
    about = f"flags at version {change.version}" if change else "no flags yet"
    return Finding("store", "OK", f"{file or store_name(url)}, {about}")


def _of_file(file: Path, error: CrossfadeError) -> str:
    """Only one that is broken is put aside: one that another program holds, or that is not ours, is whole."""
    cause, name = error.__cause__, shlex.quote(str(file))
    code = cause.sqlite_errorcode & _PRIMARY if isinstance(cause, sqlite3.Error) else None
    if code in _HELD:
        return f"fuser -v {name} shows which process holds it: kill it, or wait"
    if code in _BROKEN:
        return f"crossfade down; mv {name} {name}.broken; crossfade up fills a new one from the history beside it"
    return f"ls -ld {name} {shlex.quote(str(file.parent))} shows whose it is, and what it is"


def _of_redis(url: str) -> str:
    host, _, port = (urlsplit(url).netloc.rpartition("@")[2] or "localhost").partition(":")
    tls = " --tls" if not url.startswith(f"{REDIS[0]}") else ""
    return f"redis-cli{tls} -h {host} -p {port or 6379} ping says whether it runs"
