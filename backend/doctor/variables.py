"""Variables that nobody reads, because of a letter: `TRITON_ENABELD=false` stops no Triton."""

from __future__ import annotations

import difflib
import json
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from dotenv import dotenv_values

from ai.triton.embedded.settings import EmbeddedSettings
from backend.doctor.finding import Finding, Patient
from backend.home.settings import HomeSettings
from backend.settings import DETECTORS, ENV_FILE, Settings, whole_environment
from backend.stack.plan import command_of

_NEAR = 0.84  # of the letters: one that is missing, doubled, wrong or swapped
_SHORTEST = 8  # letters: of short names too many are near PORT
_LOOK_TIMEOUT_S = 60.0


def variables(_: Patient) -> Iterator[Finding]:
    """Names that no part knows are none of our business, unless they are nearly one of ours."""
    in_file = _of_env_file()
    suspects = {*in_file, *(name for name in whole_environment() if len(name) >= _SHORTEST)}
    known = _known()
    if any(_is_a_services(name) and name.upper() not in known for name in suspects):
        known |= _known_by_services()
    for name in sorted(suspects):
        if near := misspelt(name, known):
            yield _finding(name, near, in_file=name in in_file)


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """The variable that was meant, if it was one of ours."""
    known = set(known)
    if name.upper() in known:
        return None
    near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=_NEAR)
    return near[0] if near else None


def _finding(name: str, near: str, *, in_file: bool) -> Finding:
    where, quoted = (ENV_FILE, shlex.quote(name)) if in_file else ("the environment", name)
    mend = f"unset {name}; export {near}=…"
    if in_file:
        line = rf"s/^(\s*(export\s+)?){name}(\s*=)/\1{near}\3/"
        mend = f"sed -Ei {shlex.quote(line)} {shlex.quote(str(ENV_FILE.absolute()))}"
    return Finding(".env" if in_file else "variable", "warning",
                   f"{quoted} in {where} is no setting and does nothing; did you mean {near}?", mend)  # fmt: skip


def _of_env_file() -> Mapping[str, str | None]:
    with suppress(OSError, UnicodeDecodeError):  # that it cannot be read is told of the settings
        return dotenv_values(ENV_FILE)
    return {}


def _known() -> set[str]:
    trees = (Settings, EmbeddedSettings, HomeSettings)
    names = {name.upper() for tree in trees for name in tree.model_fields}
    return names | {f"{name}_FILE" for name in names} | {"CROSSFADE_KEY"}


def _is_a_services(name: str) -> bool:
    return name.upper().startswith(tuple(f"{detector.upper()}_" for detector in DETECTORS))


def _known_by_services() -> set[str]:
    """Asked only where a variable begins like one of theirs: it imports torch."""
    with suppress(OSError, subprocess.TimeoutExpired, ValueError):
        asked = subprocess.run(  # noqa: S603 - our own module
            command_of("ai.serving.variables"),
            capture_output=True, text=True, check=False, timeout=_LOOK_TIMEOUT_S,
        )  # fmt: skip
        names: list[str] = json.loads(asked.stdout)
        return {f"{detector}_{name}".upper() for detector in DETECTORS for name in names}
    return set()
