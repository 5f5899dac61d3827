"""What `crossfade up` starts, by its own parts, over models that wait: `python -m tests.chaos.small_stack FOLDER …`.

The journal, the guard, the start and the watch are the command's own; so are the backend, Triton and its supervisor.
`SmallStack` is such a stack, and knows every process of it, however it was started.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from ai.triton.embedded import process, record
from backend.stack import health
from backend.stack.guard import guarded
from backend.stack.journal import Journal
from backend.stack.parts import FRONT, Part
from backend.stack.running import Running
from backend.stack.signals import ended_by_signals
from backend.stack.starting import Start, watch
from tests.chaos.engine import Orders
from tests.chaos.house import LEGACY_QUICK, QUICK, TO_TRITON, write_model
from tests.services import ROOT, free_port

RUNS = "everything runs"
START_S = 120.0
TRITON_ENDS_S = 25.0


class SmallStack:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.known: list[Running] = []
        self._pids: set[int] = set()
        self._mark = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Until everything runs; `words` as `main` takes them."""
        command = [sys.executable, "-m", "tests.chaos.small_stack", str(self.folder), str(self.port), *words]
        starter = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert starter.stdout is not None
        said = list[str]()
        while RUNS not in "".join(said):
            said.append(starter.stdout.readline())
            assert said[-1], f"the stack did not start: {said}"
        self._remember()
        return starter

    def _remember(self) -> None:
        self.known = Journal(self.folder).known()
        triton = record.running(self.folder)
        assert triton is not None
        self._mark = triton.mark
        self._pids = {
            triton.pid,
            *process.marked(self._mark),
            *(pid for one in self.known for pid in one.members),
        }

    def part(self, name: str) -> Running:
        return next(one for one in self.known if one.name == name)

    @property
    def left(self) -> list[int]:
        """Of all its processes, Triton's and its models' among them."""
        return [pid for pid in sorted(self._pids) if _lives(pid)]

    @property
    def triton_left(self) -> list[int]:
        return process.marked(self._mark)

    def end(self) -> None:
        Journal(self.folder).end(self.known, tell=lambda _: None)
        if self._mark:
            process.sweep(self._mark)


@contextmanager
def small_stack(folder: Path) -> Iterator[SmallStack]:
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "models")
    Orders(folder / "yolo26_jpeg.json").give(QUICK)
    Orders(folder / "legacy.json").give(LEGACY_QUICK)
    stack = SmallStack(folder)
    try:
        yield stack
    finally:
        stack.end()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parts(folder: Path, port: int, supervisor: str) -> list[Part]:
    legacy_port = free_port()
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    at = {name: f"127.0.0.1:{number}" for name, number in ports.items()}
    legacy_url, url = f"http://127.0.0.1:{legacy_port}", f"http://127.0.0.1:{port}"
    common = {"CROSSFADE_VAR": str(folder), "PYTHONPATH": str(ROOT)}
    listens = {f"TRITON_{name.upper()}_PORT": str(number) for name, number in ports.items()}
    asked = {
        "TRITON_URL": at["grpc"],
        "TRITON_HTTP_URL": at["http"],
        "YOLO26_URL": legacy_url,
        "RTDETR_URL": legacy_url,
    }
    return [
        Part(
            "yolo26", legacy_url, "tests.chaos.legacy_side", folder / "log" / "yolo26.log",
            partial(health.of_service, legacy_url), variables=common,
            words=(str(legacy_port), str(folder / "legacy.json")),
        ),
        Part(
            "triton", f"http://{at['http']}", supervisor, folder / "log" / "supervisor.log",
            partial(health.of_triton, folder, at["http"]), patience_s=TRITON_ENDS_S,
            variables={**common, **listens, "TRITON_REPOSITORY": str(folder / "models")},
        ),
        Part(
            "backend", url, "backend.serve", folder / "log" / "backend.log", partial(health.of_backend, url),
            variables={
                **common, **TO_TRITON, **asked, "TRITON_MODEL": "yolo26", "PORT": str(port),
                "BREAKER_OPEN_S": "0.5", "BREAKER_OPEN_MAX_S": "0.5",
            },
            stage=FRONT,
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.small_stack")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--detach", action="store_true", help="as `crossfade up --detach`")
    parser.add_argument("--unguarded", action="store_true", help="without the guard")
    parser.add_argument("--supervisor", default="ai.triton.server", metavar="MODULE")
    asked = parser.parse_args()
    os.chdir(asked.folder)
    journal = Journal(asked.folder)
    started = Start(parts(asked.folder, asked.port, asked.supervisor), journal, os.environ, START_S, _say)
    with ended_by_signals(), nullcontext() if asked.unguarded else guarded(asked.folder):
        running = started.run()
        _say(RUNS)
        if not asked.detach:
            watch(journal, running)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
