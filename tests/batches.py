"""A batch in a process of its own, without the other commands, which take a second to import; and what it must keep.

python -m tests.batches DIR --out FILE …    as `crossfade batch` does
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

from ai.core.sample import sample_jpeg
from backend.batch.names import name_in
from backend.commands import batch
from backend.settings import read_settings
from tests.services import ROOT


def pictures(folder: Path, count: int) -> set[bytes]:
    """So many, in two folders; each name is told."""
    names = [f"{'yard' if number % 2 else 'gate'}/{number:05}.jpg" for number in range(count)]
    sample = sample_jpeg()
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample)
    return {name.encode() for name in names}


def start(folder: Path, out: Path, url: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.batches", "batch", folder, "--out", out, "--url", url, *words]
    return subprocess.Popen(
        [*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


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
            status = script.answer(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(
                {"detections": []} if status == 200 else {"title": "no", "detail": "not now"}
            ).encode()
            self.send_response(status)
            if status == 503:
                self.send_header("retry-after", "0")
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
