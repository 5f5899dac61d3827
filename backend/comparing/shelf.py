"""A model repository of links: exactly those models and versions that are compared, whatever else is built.

Triton serves one version of a model, so two versions of one stand under two names here. The models' own files are
neither copied nor changed: what a Triton that fails sets aside is a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ai.triton.stored import versions
from ai.triton.stored.served import NotServable, Served
from backend.comparing.contenders import Contender
from backend.comparing.errors import CannotCompare

_NAME = re.compile(r'^name:\s*"[^"]*"', re.MULTILINE)


def fill(shelf: Path, repository: Path, contenders: Iterable[Contender]) -> None:
    """CannotCompare where a model or its version is not there, or it is the same twice."""
    numbers = {one: _version(repository / one.model, one) for one in contenders}
    _require_different(numbers)
    shelf.mkdir(parents=True)
    for one, number in numbers.items():
        folder = repository / one.model
        _link(shelf / one.served_as, folder, number)
        if (helper := _tensor_model(folder / str(number))) and not (shelf / helper).exists():
            (shelf / helper).symlink_to((repository / helper).resolve())


def missing(repository: Path, contender: Contender) -> bool:
    return not versions.numbers(repository / contender.model)


def _require_different(numbers: Mapping[Contender, int]) -> None:
    seen: dict[tuple[str, int], Contender] = {}
    for one, number in numbers.items():
        if earlier := seen.get((one.model, number)):
            raise CannotCompare(same(earlier, one, f"{number}"))
        seen[one.model, number] = one


def same(a: Contender, b: Contender, version: str) -> str:
    return f"{a.name} and {b.name} are both version {version} of {a.model}: there is nothing to compare"


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
    """Folders of our own, links in them; only configurations are written anew, since they name their model."""
    version = place / str(number)
    version.mkdir(parents=True)
    _link_all(version, folder / str(number))
    _link_all(place, folder, but=lambda name: name.isdigit())
    own = folder / str(number) / versions.CONFIG
    config = (own if own.is_file() else folder / versions.CONFIG).read_text()
    for one in {place, version} if own.is_file() else {place}:
        (one / versions.CONFIG).write_text(_NAME.sub(f'name: "{place.name}"', config, count=1))


def _link_all(place: Path, folder: Path, but: Callable[[str], bool] = lambda _: False) -> None:
    for path in folder.iterdir():
        if path.name != versions.CONFIG and not but(path.name):
            (place / path.name).symlink_to(path.resolve())


def _tensor_model(version: Path) -> str | None:
    """A model that this one hands its pixels to."""
    try:
        return Served.load(version).tensor_model
    except NotServable:
        return None
