"""A part of a stack for tests: `python -m tests.stack_parts`, which behaves as its environment says.

NOTES is a file that gets a line at its beginning and its end; ON_TERM=ignore makes it stubborn; CHILD=yes gives it a
child that outlives it; ENDS=yes makes it say why and end by itself. `prepare` is what goes before it: it takes
PREPARES_S seconds, and fails in the words of NOT_PREPARED.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from backend.stack.parts import SIDES, Health, Part

MODULE = "tests.stack_parts"
ROOT = Path(__file__).parents[
    1
]  # where that is found: no part looks for modules in the folder it is started in


def part(folder: Path, name: str, stage: int = SIDES, patience_s: float = 20.0, **variables: str) -> Part:
    notes = folder / "notes"
    return Part(
        name, f"http://{name}", MODULE, folder / "log" / f"{name}.log", lambda: health(notes, name),
        variables={"NAME": name, "NOTES": str(notes), "PYTHONPATH": str(ROOT), **variables},
        stage=stage, patience_s=patience_s,
    )  # fmt: skip


def health(notes: Path, name: str) -> Health:
    up = f"{name} begins" in noted(notes)
    return Health(up, "up" if up else "not up")


def noted(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


def note(what: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{os.environ['NAME']} {what}\n")


def end(*_: object) -> None:
    if os.environ.get("ON_TERM") != "ignore":
        note("ends")
        sys.exit(0)


def main() -> None:
    if sys.argv[1:] == ["prepare"]:
        print("prepared, as asked", flush=True)
        time.sleep(float(os.environ.get("PREPARES_S", "0")))
        sys.exit(os.environ.get("NOT_PREPARED"))
    signal.signal(signal.SIGTERM, end)
    if os.environ.get("CHILD"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    if os.environ.get("ENDS"):
        sys.exit("it has no picture to look at")
    note("begins")
    time.sleep(300)


if __name__ == "__main__":
    main()
