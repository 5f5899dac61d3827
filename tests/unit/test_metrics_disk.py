"""Figures of several workers on a disk that fills up: one may be missing, no worker ends for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import ROOT

# As a worker: its metrics are made, then the disk is filled where the second word says so, then new labels are met.
WORKER = """
import os, sys
from pathlib import Path
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from prometheus_client import Counter
from backend.observe.sharing import shared
shared(Path(sys.argv[1]))
counter = Counter("asked", "Of a test", ["code"])
counter.labels("first").inc()
if sys.argv[2] == "fill":
    try:
        with Path(sys.argv[1], "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        print("full")
lost = 0
for number in range(2000):
    try:
        counter.labels(f"a code with some length to it, number {number}").inc()
    except OSError:
        lost += 1
counter.labels("first").inc()
print("lost", lost, "first", counter.labels("first")._value.get())
"""


def worker(folder: Path, what: str, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", WORKER, str(folder), what]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_a_figure_s_file_has_no_holes_however_large_it_grows(tmp_path: Path) -> None:
    ended = worker(tmp_path, "grow")
    assert ended.stdout.split() == ["lost", "0", "first", "2.0"], ended.stderr
    (file,) = tmp_path.glob("counter_*.db")
    stat = file.stat()
    assert stat.st_size > 1 << 16  # else it has not grown
    assert stat.st_blocks * 512 >= stat.st_size


def test_on_a_full_disk_a_worker_lives_and_counts_on_what_it_knew(tmp_path: Path) -> None:
    small = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mounted = [*small, f'mount -t tmpfs -o size=512k none {tmp_path} && exec "$@"', "sh"]
    if subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: there is no small disk to fill")
    ended = worker(tmp_path, "fill", *mounted)
    assert ended.returncode == 0, (ended.returncode, ended.stderr)  # 135 or -7: SIGBUS
    full, _, lost, _, first = ended.stdout.split()
    assert (full, first) == ("full", "2.0")
    assert int(lost) > 0
