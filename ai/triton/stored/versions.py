"""The version folders of one model: which there are, how one comes to be whole, how a failed one is set aside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from filecmp import cmp
from pathlib import Path

CONFIG = "config.pbtxt"
KEPT_VERSIONS = 2  # the one that serves, and the one before it to go back to


def numbers(model: Path) -> list[int]:
    """The versions that Triton would see, oldest first."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdigit() and path.is_dir())


def add(model: Path, fill: Callable[[Path], None]) -> int:
    """A new version that `fill` writes: Triton never sees it before it is whole, nor if it fails."""
    number = max([*numbers(model), *_failed_numbers(model)], default=0) + 1
    aside = model / f".{number}.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        fill(aside)
        _to_disk(aside)
        aside.rename(model / str(number))
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    use_config_of(model, number)
    return number


def use_config_of(model: Path, number: int) -> None:
    """Triton reads one configuration for all versions: that of the one that is to serve."""
    aside = model / f".{CONFIG}.part"
    shutil.copyfile(model / str(number) / CONFIG, aside)
    aside.replace(model / CONFIG)


def settle(model: Path) -> None:
    """The configuration of the version that is to serve, should a build have been killed just before that."""
    known = numbers(model)
    own = model / str(known[-1]) / CONFIG if known else None
    if (
        own
        and own.is_file()
        and (not (model / CONFIG).is_file() or not cmp(own, model / CONFIG, shallow=False))
    ):
        use_config_of(model, known[-1])


def set_aside(model: Path, number: int) -> Path:
    """Take a version that cannot be loaded out of Triton's sight; the newest of the others is next.

    Triton reads a folder's name up to its first other character, `2.failed` as version 2: words first.
    """
    failed_before = len(list(model.glob(f"failed-{number}-*")))
    aside = model / f"failed-{number}-{failed_before + 1}"
    (model / str(number)).rename(aside)
    left = numbers(model)
    if left and (model / str(left[-1]) / CONFIG).is_file():
        use_config_of(model, left[-1])
    return aside


def put_back(model: Path, aside: Path, number: int) -> None:
    """Undo `set_aside`: the version was not to blame."""
    aside.rename(model / str(number))
    if (model / str(number) / CONFIG).is_file():
        use_config_of(model, max(numbers(model)))


def forget_old(model: Path) -> None:
    """Keep the newest versions; also sweep what a killed build left behind."""
    for number in numbers(model)[:-KEPT_VERSIONS]:
        shutil.rmtree(model / str(number))
    for left_over in model.glob(".*.part"):
        if left_over.is_dir():
            shutil.rmtree(left_over, ignore_errors=True)


def _failed_numbers(model: Path) -> list[int]:
    return [int(path.name.split("-")[1]) for path in model.glob("failed-*-*")]


def _to_disk(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
