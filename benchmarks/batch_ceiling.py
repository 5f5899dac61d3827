"""What Triton itself answers when it is kept full: TritonClient straight at it, the same pictures, so many at once.

python -m benchmarks.batch_ceiling localhost:8001 yolo26_jpeg 16 FOLDER
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ai.triton.client import TritonClient

TIMEOUT_S = 60.0


async def seconds_for(client: TritonClient, model: str, callers: int, paths: list[Path]) -> float:
    """From the first question to the last answer; a failure is raised."""
    turns: Iterator[Path] = iter(paths)

    async def caller() -> None:
        for path in turns:
            await client.detect(model, path.read_bytes(), timeout_s=TIMEOUT_S)

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return time.perf_counter() - began_s


async def measured(url: str, model: str, callers: int, folder: Path) -> dict[str, float]:
    paths = sorted(folder.iterdir())
    async with TritonClient.at(url) as client:
        await seconds_for(
            client, model, callers, paths[: 2 * callers]
        )  # connections and buffers are there then
        return {"seconds": await seconds_for(client, model, callers, paths)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))))
