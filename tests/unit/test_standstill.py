"""A loop that stands still ends its process, which says where it stood; one that runs is left alone."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, time
from backend.standstill import ended_at_a_standstill

async def main():
    watching = asyncio.create_task(ended_at_a_standstill(0.5))
    await asyncio.sleep({runs_s})
    if {hangs}:
        time.sleep(60)
    watching.cancel()
    await asyncio.sleep(0)
    time.sleep(1)

asyncio.run(main())
print("ended by itself")
"""


def test_a_loop_that_stands_still_ends_its_process_and_says_where_it_stood() -> None:
    done = ran(runs_s=0.1, hangs=True)
    assert done.returncode == 1
    assert 'File "<string>", line 9 in main' in done.stderr
    assert "ended by itself" not in done.stdout


def test_a_loop_that_runs_is_left_alone_and_so_is_one_that_is_no_longer_watched() -> None:
    done = ran(runs_s=1.5, hangs=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ended by itself"), done.stderr


def ran(**how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**how)], capture_output=True, text=True, timeout=60, check=False
    )
