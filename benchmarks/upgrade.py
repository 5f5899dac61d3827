"""Two versions of the backend on one store, for real: what an upgrade that drops no request goes through.

    python -m benchmarks.upgrade --before REVISION                 # on SQLite, some 20 s
    python -m benchmarks.upgrade --before REVISION --store redis   # on a redis-server that it starts

The older one runs out of `git archive REVISION`, with this environment's libraries; both are whole backends, asked over
HTTP. Each line that is printed was seen; the first that was not ends it with status 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx

from backend.settings import Settings, whole_environment
from benchmarks.processes import ROOT
from tests.redis_server import running_redis
from tests.services import free_port

KEY = "operations"
START_S, OBEYED_S, STOP_S = 60.0, 5.0, 30.0
_POLL_S = 0.05

Say = Callable[[str], None]


class NotSeen(Exception):
    """What an upgrade relies on did not happen."""


class Replica:
    """One backend; its sides are nowhere, since only the flags are asked for."""

    def __init__(self, name: str, tree: Path, home: Path, store: str) -> None:
        self.name = name
        self._tree, self._home, self._store = tree, home, store
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "backend.serve"], cwd=self._home, env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        seen(f"{self.name} starts", self._answers, START_S, lambda: (self._home / "log").read_text()[-2000:])

    def environment(self) -> dict[str, str]:
        """The caller's, but for what it says to a backend: its own may have two workers, or no legacy."""
        nowhere = f"localhost:{free_port()}"
        settings = {name.upper() for name in Settings.model_fields}
        return {name: value for name, value in whole_environment().items() if name.upper() not in settings} | {
            "PYTHONPATH": str(self._tree), "PORT": str(self._port), "CROSSFADE_VAR": str(self._home / "var"),
            "ROLLOUT_STORE": self._store, "API_KEYS": f"ops:admin:{KEY}", "WORKERS": "1",
            "TRITON_ENABLED": "true", "TRITON_URL": nowhere,
            "RTDETR_URL": f"http://{nowhere}", "YOLO26_URL": f"http://{nowhere}", "SHUTDOWN_TIMEOUT_S": "2",
        }  # fmt: skip

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "").is_success
        except httpx.HTTPError:
            if self._process is not None and self._process.poll() is not None:
                raise NotSeen(f"{self.name} ended: {(self._home / 'log').read_text()[-2000:]}") from None
            return False

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._ask("GET", "").raise_for_status().json()
        return state

    @property
    def history(self) -> list[tuple[int, float]]:
        changes = self._ask("GET", "/history").raise_for_status().json()["changes"]
        return [(change["version"], change["after"]["fraction"]) for change in changes]

    def set(self, fraction: float) -> None:
        body = {"fraction": fraction, "reason": f"said to {self.name}"}
        self._ask("PUT", "", json=body, headers={"If-Match": "*"}).raise_for_status()

    def roll_back(self) -> list[str]:
        """Who has not confirmed it."""
        answer = self._ask("POST", "/rollback", json={"reason": f"said to {self.name}"}).raise_for_status()
        pending: list[str] = answer.json()["pending"]
        return pending

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        headers = {"X-API-Key": KEY, **what.pop("headers", {})}
        url = f"http://127.0.0.1:{self._port}/api/rollout{path}"
        return httpx.request(method, url, headers=headers, trust_env=False, timeout=30, **what)


def trial(before: Replica, after: Replica, say: Say) -> None:
    """Up and down again, with changes and rollbacks on either side."""
    before.start()
    before.set(0.1)
    after.start()
    one_tells_the_other(before, after, 0.1, say)
    for teller, listener, fraction in ((after, before, 0.25), (before, after, 0.5)):
        teller.set(fraction)
        one_tells_the_other(teller, listener, fraction, say)
    for teller, listener in ((after, before), (before, after)):
        both_confirm_a_rollback(teller, listener, say)
    require("the history is the same from both", before.history == after.history, say)
    before.stop()
    after.set(0.3)
    after.stop()
    before.start()
    require(f"the upgrade rolled back: {before.name} goes on at 30 %", before.state["fraction"] == 0.3, say)
    before.set(0.2)
    after.start()
    one_tells_the_other(before, after, 0.2, say)


def one_tells_the_other(teller: Replica, listener: Replica, fraction: float, say: Say) -> None:
    said = f"{fraction:.0%} said to {teller.name} stands in {listener.name}"
    seen(said, lambda: listener.state["fraction"] == fraction, OBEYED_S, lambda: str(listener.state))
    say(said)


def both_confirm_a_rollback(teller: Replica, listener: Replica, say: Say) -> None:
    listener.set(0.4)
    workers = [one["worker"] for one in teller.state["workers"]]
    said = f"a rollback said to {teller.name} is confirmed by both"
    # a machine that is too busy for it in a second names who is late, and is told again
    seen(said, lambda: teller.roll_back() == [], OBEYED_S, lambda: f"workers {workers}")
    require(said, len(workers) == 2, say, f"workers {workers}")
    require(f"… and {listener.name} is at 0 %", listener.state["fraction"] == 0, say)


def seen(what: str, holds: Callable[[], bool], patience_s: float, else_say: Callable[[], str]) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise NotSeen(f"{what}: not within {patience_s:g} s; {else_say()}")
        time.sleep(_POLL_S)


def require(what: str, holds: bool, say: Say, found: str = "") -> None:
    if not holds:
        raise NotSeen(f"{what}: no{f'; {found}' if found else ''}")
    say(what)


def has(revision: str) -> bool:
    """A clone may be shallow, or no clone at all."""
    return bool(_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"))


def before_there_was(path: str) -> str:
    """The last revision without this file; empty where the history does not say."""
    added = _git("log", "--diff-filter=A", "--format=%H", "--", path).split()
    before = f"{added[-1]}~1" if added else ""
    return before if before and has(before) else ""


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def tree_of(revision: str, folder: Path) -> Path:
    packed = subprocess.run(
        ["git", "archive", revision, "ai", "backend"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@contextmanager
def two_versions(revision: str, kind: str) -> Iterator[tuple[Replica, Replica]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-upgrade-")))
        store = f"sqlite:///{folder}/shared.db"
        if kind == "redis":
            store = stack.enter_context(running_redis(folder / "redis")).url
        before = Replica("the version before", tree_of(revision, folder / "tree"), folder / "before", store)
        after = Replica("the new version", ROOT, folder / "after", store)
        for replica in (before, after):
            stack.callback(replica.stop)
        yield before, after


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.upgrade", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--before", required=True, metavar="REVISION", help="of this repository")
    parser.add_argument("--store", choices=("sqlite", "redis"), default="sqlite")
    args = parser.parse_args(arguments)
    if not has(args.before):
        parser.error(f"there is no {args.before} in the history here (git fetch --unshallow?)")
    try:
        with two_versions(args.before, args.store) as (before, after):
            trial(before, after, say=lambda words: print(f"  {words}", flush=True))
    except (NotSeen, httpx.HTTPError) as error:
        print(f"NOT SEEN: {error or type(error).__name__}", file=sys.stderr)
        return 1
    print(f"{args.before} and this tree share one {args.store} store.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
