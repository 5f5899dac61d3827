"""A loop that stands still ends its process, which says where it stood; one that runs or was stopped is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.alone

PROGRAM = """
import asyncio, time
from backend.standstill import ended_at_a_standstill

async def main():
    watching = asyncio.create_task(ended_at_a_standstill(0.6))
    await asyncio.sleep({runs_s})
    if {hangs}:
        time.sleep(60)
    watching.cancel()
    await asyncio.sleep(0)
    time.sleep(1.5)

print("begun", flush=True)
asyncio.run(main())
print("ended by itself")
"""


def test_a_loop_that_stands_still_ends_its_process_and_says_where_it_stood() -> None:
    process = started(runs_s=0.1, hangs=True)
    said, complained = process.communicate(timeout=50)
    assert process.returncode == 1
    assert 'File "<string>", line 9 in main' in complained
    assert "ended by itself" not in said


def test_a_loop_that_runs_is_left_alone_and_so_is_one_that_is_no_longer_watched() -> None:
    process = started(runs_s=1.5, hangs=False)
    said, complained = process.communicate(timeout=50)
    assert (process.returncode, said.split()[-1]) == (0, "itself"), complained


def test_a_process_that_was_stopped_goes_on() -> None:
    process = started(runs_s=1.5, hangs=False)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2)  # three times its patience
    os.kill(process.pid, signal.SIGCONT)
    said, complained = process.communicate(timeout=50)
    assert (process.returncode, said.split()[-1]) == (0, "itself"), complained


def started(**how: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(**how)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
