"""A random run: `python -m tests.chaos.random_run [--minutes 10] [--seed S] [--out FOLDER]`, then its check.

A real stack of two workers under 50 requests/s, with faults, deaths and moved flags at random, all of it planned from
the seed beforehand. Whatever is sent, answered, done, logged and counted is kept in FOLDER; `tests.chaos.random_check`
then reads nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.backends import Backend
from tests.chaos import random_check
from tests.chaos.house import DEADLINE_S, House, running_house
from tests.chaos.random_acts import beating, do
from tests.chaos.random_deeds import Book
from tests.chaos.random_faults import Act, Plan, plan_of
from tests.chaos.random_load import random_load
from tests.chaos.reporting import machine

WORKERS = 2
PER_S = 50.0
SETTLED_S = 10.0  # for the metrics to count what was answered last
LAST_S = 3.0  # in which nothing happens any more
LATE_S = 120.0  # a plan takes longer than it says: what is started must first be there
SIDES_APART_S = 3.0  # between one broken side and the next, however late it got


def main(arguments: Sequence[str]) -> int:
    asked = _parsed(arguments)
    folder = asked.out or Path(tempfile.mkdtemp(prefix="crossfade-random-"))
    folder.mkdir(parents=True, exist_ok=True)
    seed = time.time_ns() % 1_000_000 if asked.seed is None else asked.seed
    plan = plan_of(seed, asked.minutes * 60)
    _show(plan)
    run(plan, folder)
    print(f"what was kept: {folder}", flush=True)
    return random_check.main([str(folder)])


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.random_run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the plan; a new one each time otherwise")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where everything is kept")
    return parser.parse_args(arguments)


def _show(plan: Plan) -> None:
    print(f"seed {plan.seed}: {plan.lasts_s:g} s, FALLBACK={plan.fallback}, {len(plan.acts)} acts")
    for act in plan.acts:
        words = ", ".join(f"{name}={value}" for name, value in act.words.items())
        lasts = f" for {act.lasts_s:g} s" if act.lasts_s else ""
        print(f"  {act.at_s:7.2f} s  {act.name}{lasts}{f'  ({words})' if words else ''}")
    sys.stdout.flush()


def run(plan: Plan, folder: Path) -> None:
    """Leaves all that the check wants in this folder."""
    (folder / "plan.json").write_text(json.dumps(plan.to_table(), indent=1))
    variables = {"FALLBACK": plan.fallback, "LOG_SAMPLE": "1"}
    with running_house(
        variables, through_proxies=True, workers=WORKERS, env_file="TRITON_ENABLED=true\n"
    ) as house:
        backend = house.backend
        backend.until(lambda: len(beating(house)) == WORKERS, "there never were two workers")
        (folder / "metrics-before.txt").write_text(_metrics_text(backend))
        with random_load(backend.url, plan.seed, plan.lasts_s + LATE_S, folder, PER_S) as load:
            _carry_out(plan, house, folder)
            time.sleep(LAST_S)
        (folder / "metrics-after.txt").write_text(_settled_metrics(backend))
        _keep_the_rest(plan, backend, load.sent, folder)


def _carry_out(plan: Plan, house: House, folder: Path) -> None:
    """Each track in a thread of its own."""
    book, began = Book(folder / "deeds.jsonl"), time.monotonic()
    tracks = [
        threading.Thread(target=_track, args=(plan.of(track), house, book, began), name=track)
        for track in ("sides", "house", "flags")
    ]
    for thread in tracks:
        thread.start()
    for thread in tracks:
        thread.join()
    time.sleep(max(0.0, began + plan.lasts_s - time.monotonic()))
    book.close()


def _track(acts: Sequence[Act], house: House, book: Book, began: float) -> None:
    ended = began
    for act in acts:
        free = ended + SIDES_APART_S if act.track == "sides" else ended
        time.sleep(max(0.0, began + act.at_s - time.monotonic(), free - time.monotonic()))
        do(house, act, book)
        ended = time.monotonic()


def _keep_the_rest(plan: Plan, backend: Backend, sent: int, folder: Path) -> None:
    history = backend.get("/api/rollout/history?format=jsonl").text.splitlines()
    (folder / "history.jsonl").write_text("".join(f"{line}\n" for line in reversed(history)))
    facts = {
        "sent": sent, "deadline_s": DEADLINE_S, "fallback": plan.fallback, "detector": "yolo26",
        "workers": WORKERS, "per_s": PER_S, "machine": machine(),
    }  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))
    backend.stop()  # its last lines are written
    shutil.copyfile(backend.log, folder / "backend.log")


def _metrics_text(backend: Backend) -> str:
    return httpx.get(backend.url + "/metrics", timeout=30, trust_env=False).text


def _settled_metrics(backend: Backend) -> str:
    """When nothing is under way, and two looks say the same of requests and attempts."""
    ends_at, before, now = time.monotonic() + SETTLED_S, "", _metrics_text(backend)
    while time.monotonic() < ends_at and (_counted(before) != _counted(now) or _under_way(now)):
        time.sleep(0.2)
        before, now = now, _metrics_text(backend)
    return now


def _counted(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("detector_requests_total{")]


def _under_way(text: str) -> float:
    lines = (line for line in text.splitlines() if line.startswith("detector_inflight{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
