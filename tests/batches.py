"""A batch in a process of its own, without the other commands, which take a second to import; and what it must keep.

python -m tests.batches batch DIR --out FILE …    as `crossfade batch` does
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

from ai.core.sample import sample_jpeg
from backend.batch.names import name_in
from backend.commands import batch
from backend.settings import read_settings

_PROCESSES = multiprocessing.get_context("forkserver")  # imports are paid for once
_PROCESSES.set_forkserver_preload(["tests.batches"])


def pictures(folder: Path, count: int) -> set[bytes]:
    """So many, in two folders; each name is told."""
    names = [f"{'yard' if number % 2 else 'gate'}/{number:05}.jpg" for number in range(count)]
    sample = sample_jpeg()
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample)
    return {name.encode() for name in names}


class Started:
    """One that can be killed; what it says lies beside its results."""

    def __init__(self, words: list[str], said: Path) -> None:
        self._said = said
        self.process = _PROCESSES.Process(target=_as_command, args=(words, said))
        self.process.start()

    def until_more(self, out: Path, lines: int) -> None:
        ends_at = time.monotonic() + 30
        while not out.exists() or out.read_bytes().count(b"\n") <= lines:
            assert self.process.is_alive(), self._said.read_text()
            assert time.monotonic() < ends_at
            time.sleep(0.002)

    def ended(self) -> tuple[int | None, str]:
        """Its status, and what it said."""
        self.process.join(30)
        return self.process.exitcode, self._said.read_text()


def start(folder: Path, out: Path, url: str, *words: str) -> Started:
    return Started(
        ["batch", *map(str, (folder, "--out", out, "--url", url, *words))], out.with_suffix(".said")
    )


def _as_command(words: list[str], said: Path) -> None:
    with said.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        args = parser().parse_args(words)
        sys.exit(args.command(args, read_settings()))


def run(folder: Path, out: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return ran(["batch", *map(str, (folder, "--out", out, "--url", url, *words))])


def ran(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """In this process: a second for each start is more than most tests take."""
    args = parser().parse_args(words)
    told, complained = StringIO(), StringIO()
    with redirect_stdout(told), redirect_stderr(complained):
        status = args.command(args, read_settings())
    return subprocess.CompletedProcess([], status, told.getvalue(), complained.getvalue())


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def require_exactly_once(names: set[bytes], out: Path) -> None:
    """AssertionError unless each picture has one line, of answers and errors together, and no other thing has one."""
    data = out.read_bytes()
    assert not data or data.endswith(b"\n"), "a half line"
    told = Counter(
        name_in(line) for path in (out, out.with_suffix(".errors.jsonl")) for line in lines_of(path)
    )
    assert not {name: count for name, count in told.items() if count > 1}, "told twice"
    assert told.keys() == names, (names - told.keys(), told.keys() - names)


# --- a backend that does what it is told ------------------------------------------------------------------


class Scripted:
    """Counts what it answers and how many it has at once; `places` are all that there are."""

    def __init__(self, places: int = 1000, took_s: float = 0.005) -> None:
        self.places, self.took_s = places, took_s
        self.now = self.most = 0
        self.statuses: Counter[int] = Counter()
        self.seen: Counter[bytes] = Counter()
        self.fails: dict[bytes, int] = {}  # a body that gets this status
        self.says: Callable[[bytes], tuple[int, bytes] | None] = lambda _: None  # instead, to this body
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> int:
        with self._lock:
            if self.now >= self.places:
                self.statuses[503] += 1
                return 503
            self.now += 1
            self.most = max(self.most, self.now)
            self.seen[body] += 1
        time.sleep(self.took_s)
        with self._lock:
            self.now -= 1
            status = self.fails.get(body, 200)
            self.statuses[status] += 1
            return status


@contextmanager
def scripted(port: int = 0, **what) -> Iterator[tuple[str, Scripted]]:
    script = Scripted(**what)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            picture = self.rfile.read(int(self.headers["content-length"]))
            status = script.answer(picture)
            document = {"detections": []} if status == 200 else {"title": "no", "detail": "not now"}
            status, body = script.says(picture) or (status, json.dumps(document).encode())
            self.send_response(status)
            if status == 503:
                self.send_header("retry-after", "0")
            if status == 308:
                self.send_header("location", "https://elsewhere.example/")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ----------------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    batch.add_words(parser.add_subparsers(required=True))
    return parser


def main() -> None:
    args = parser().parse_args()
    sys.exit(args.command(args, read_settings()))


if __name__ == "__main__":
    main()
