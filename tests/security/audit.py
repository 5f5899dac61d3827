"""`make audit`: what is installed is what was pinned, and nobody knows a hole in it.

The first half needs nothing and runs with the tests too. The second asks PyPI's advisories, by pip-audit in an
environment of its own; where they cannot be had it says so and fails: an audit that asked nobody found nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.security.dependencies import CONSTRAINTS, complaints, contradictions, packages, pins

PIP_AUDIT = "pip-audit==2.10.1"
FOLDER = Path("build") / "audit"
PATIENCE_S = 15
SOUND, HOLES, UNKNOWN = 0, 1, 2  # exit statuses


@dataclass(frozen=True)
class Verdict:
    status: int
    lines: Sequence[str]


def main() -> None:
    mine = offline()
    told = mine if mine.status else online()
    print(*mine.lines, *(() if told is mine else told.lines), sep="\n")
    sys.exit(told.status)


def offline() -> Verdict:
    found = packages()
    wrong = [*complaints(found, pins(CONSTRAINTS.read_text())), *contradictions().splitlines()]
    if wrong:
        return Verdict(HOLES, wrong)
    return Verdict(
        SOUND,
        [f"{len(found)} packages: all pinned, from the index, licences known, none contradicts another"],
    )


def online() -> Verdict:
    try:
        return judged(_asked(_program()))
    except subprocess.CalledProcessError as error:
        return Verdict(
            UNKNOWN, [f"no advisories: {PIP_AUDIT} cannot be installed: {_last_line(error.stderr)}"]
        )


def judged(answer: str) -> Verdict:
    """pip-audit ends well where it could look up nothing; so what it skipped is counted."""
    try:
        asked = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return Verdict(
            UNKNOWN, [f"no advisories: the advisory service cannot be reached: {_last_line(answer)}"]
        )
    skipped = [one["name"] for one in asked if "skip_reason" in one]
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in asked
        for hole in one.get("vulns", ())
    ]
    if holes:
        return Verdict(HOLES, holes)
    if skipped or not asked:
        said = f"no advisories: the advisory service told nothing of {len(skipped)} of {len(asked)} packages"
        return Verdict(UNKNOWN, [f"{said}; it cannot be reached, or is no index with advisories"])
    return Verdict(SOUND, [f"{len(asked)} packages: no known hole in any"])


def _program() -> Path:
    """Installed once, of the versions that are pinned here too."""
    program = FOLDER / "bin" / "pip-audit"
    if not program.exists():
        venv.create(FOLDER, with_pip=True)
        words = [FOLDER / "bin" / "python", "-m", "pip", "install", "-q", "-c", CONSTRAINTS, PIP_AUDIT]
        subprocess.run(words, check=True, capture_output=True, text=True)
    return program


def _asked(program: Path) -> str:
    words = [
        program,
        "-r",
        CONSTRAINTS,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    asked = subprocess.run(
        [*words, "--timeout", str(PATIENCE_S)], capture_output=True, text=True, check=False
    )
    return asked.stdout or asked.stderr


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")[
        :300
    ]


if __name__ == "__main__":
    main()
