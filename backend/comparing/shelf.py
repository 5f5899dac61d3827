"""A model repository of links: exactly those models and versions that are compared, whatever else is built.

Triton serves one version of a model, so two versions of one stand under two names here. The models' own files are
neither copied nor changed: what a Triton that fails sets aside is a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ai.triton.stored import versions
from ai.triton.stored.served import NotServable, Served
from backend.comparing.contenders import Contender
from backend.comparing.errors import CannotCompare

_NAME = re.compile(r'^name:\s*"[^"]*"', re.MULTILINE)


def fill(shelf: Path, repository: Path, contenders: Iterable[Contender]) -> None:
    """CannotCompare where a model or its version is not there."""
    shelf.mkdir(parents=True)
    for one in contenders:
        folder = repository / one.model
        number = _version(folder, one)
        _link(shelf / one.served_as, folder, number)
        if (helper := _tensor_model(folder / str(number))) and not (shelf / helper).exists():
            (shelf / helper).symlink_to((repository / helper).resolve())


def missing(repository: Path, contender: Contender) -> bool:
    return not versions.numbers(repository / contender.model)


def _version(folder: Path, one: Contender) -> int:
    known = versions.numbers(folder)
    if not known:
        built = sorted(path.name for path in folder.parent.glob("*") if versions.numbers(path))
        there = f"; there are: {', '.join(built)}" if built else ""
        raise CannotCompare(
            f"{folder.parent} holds no model {one.model!r}{there}. `crossfade models build` makes them"
        )
    if one.version and int(one.version) not in known:
        numbers = ", ".join(map(str, known))
        raise CannotCompare(f"{one.model} has no version {one.version}; there are: {numbers}")
    return int(one.version) if one.version else known[-1]


def _link(place: Path, folder: Path, number: int) -> None:
    place.mkdir(exist_ok=True)
    own = folder / str(number) / versions.CONFIG
    config = (own if own.is_file() else folder / versions.CONFIG).read_text()
    (place / versions.CONFIG).write_text(_NAME.sub(f'name: "{place.name}"', config, count=1))
    for path in folder.iterdir():
        if path.name == str(number) or not (path.name.isdigit() or path.name == versions.CONFIG):
            (place / path.name).symlink_to(path.resolve())


def _tensor_model(version: Path) -> str | None:
    """A model that this one hands its pixels to."""
    try:
        return Served.load(version).tensor_model
    except NotServable:
        return None
