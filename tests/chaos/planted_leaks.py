"""What `tests.chaos.undefended` plants in a backend for the soak: one leak of each kind, and the count of its tasks.

Each leak happens at a request, and stops before it would end the process or the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.services.detector_client import DetectorClient

COUNTS = "CHAOS_COUNTS"  # the variable that names the folder
LEAKED_BYTES = 64 * 1024
MOST_BYTES = 512 * 1024 * 1024
MOST_DESCRIPTORS = 4_000
MOST_TASKS = 20_000
THREAD_EVERY = 3
MOST_THREADS = 200
MOST_LABELS = 8_000  # new cameras: some 20 minutes of 50 requests/s; two hours' warm-up is 18

_leaked: list[object] = []


def count_tasks() -> None:
    """Once a second, on the loop itself, where the backend measures anyway: no thread, task or route more."""
    measure, folder = DetectorClient.measure, Path(os.environ[COUNTS])

    def counted(client: DetectorClient) -> None:
        measure(client)
        _write(folder / f"{os.getpid()}.json")

    DetectorClient.measure = counted  # type: ignore[method-assign]


def _write(file: Path) -> None:
    tasks = asyncio.all_tasks()
    names = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in tasks)
    words = {"tasks": len(tasks), "blocks": sys.getallocatedblocks(), "names": dict(names.most_common(8))}
    aside = file.with_suffix(".part")
    aside.write_text(json.dumps(words))
    aside.replace(file)


def at_each_request(leak: Callable[[int, str], object], most: int, every: int = 1) -> None:
    """`leak` is told the request's number and its camera."""
    accepted, numbers = DetectorClient._accepted, iter(range(most * every))

    def leaking(client: DetectorClient, image: Any, camera: str | None, *others: Any) -> Any:
        number = next(numbers, None)
        if number is not None and number % every == 0:
            _leaked.append(leak(number, camera or ""))
        return accepted(client, image, camera, *others)

    DetectorClient._accepted = leaking  # type: ignore[method-assign]


def leak_memory() -> None:
    at_each_request(lambda number, _: bytes([number % 256]) * LEAKED_BYTES, MOST_BYTES // LEAKED_BYTES)


def leak_descriptors() -> None:
    at_each_request(lambda *_: os.open(os.devnull, os.O_RDONLY), MOST_DESCRIPTORS)


def leak_tasks() -> None:
    at_each_request(lambda *_: asyncio.get_running_loop().create_task(asyncio.Event().wait()), MOST_TASKS)


def leak_threads() -> None:
    def started(*_: object) -> threading.Thread:
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        return thread

    at_each_request(started, MOST_THREADS, THREAD_EVERY)


def leak_labels() -> None:
    """A metric that takes its label from the caller. Workers share it as a file, whatever registry it is in."""
    made: list[Any] = []
    seen: set[str] = set()

    def count(_: int, camera: str) -> None:
        from prometheus_client import Histogram  # noqa: PLC0415 - it must know its directory first

        if not made:
            made.append(
                Histogram("detector_camera_seconds", "Planted", ["camera"], registry=None, buckets=(1,))
            )
        if len(seen) < MOST_LABELS:
            seen.add(camera)
            made[0].labels(camera).observe(0)

    at_each_request(count, sys.maxsize)


LEAKS: dict[str, Callable[[], None]] = {
    "memory": leak_memory,
    "descriptors": leak_descriptors,
    "tasks": leak_tasks,
    "threads": leak_threads,
    "labels": leak_labels,
}
PATCHES = {
    "its tasks are counted": count_tasks,
    **{f"a leak of {kind}": leak for kind, leak in LEAKS.items()},
}
