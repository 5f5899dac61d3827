"""What was compiled for a GPU is compiled once, however many versions of the network are built for it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ai.triton.building.catalogue import built_in
from ai.triton.inside import tuning
from ai.triton.stored.served import TUNED, Served

SPEC = built_in("yolo26").spec
SERVED = Served(SPEC, "torch", "f16", "weights", (1, 2, 4), "yolo26", SPEC, tuned=True)


@pytest.fixture
def compiled(monkeypatch) -> list[Path]:
    """The versions that were compiled, on a GPU of our own."""
    done: list[Path] = []

    def build(served: Served, version: Path, threads: int) -> None:
        done.append(version)
        (version / TUNED).mkdir(exist_ok=True)

    monkeypatch.setattr(tuning, "build_engine", build)
    of_name(monkeypatch, "NVIDIA H200")
    return done


def of_name(monkeypatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)


def version(folder: Path, name: str, sizes: tuple[int, ...] = (1, 2, 4), after: Path | None = None) -> Path:
    made = folder / name
    made.mkdir()
    replace(SERVED, batch_sizes=sizes).save(made)
    if after is not None:
        shutil.copytree(after / TUNED, made / TUNED)
    return made


def test_what_came_along_is_not_compiled_again(tmp_path, compiled):
    first = version(tmp_path, "1")
    tuning.tune(first)
    for name, sizes in {
        "2": (1, 2, 4),
        "3": (1,),
        "4": (1, 8, 32),
    }.items():  # one graph serves any number above one
        tuning.tune(version(tmp_path, name, sizes, first))
    assert compiled == [first]


def test_one_for_single_pictures_says_nothing_of_batches(tmp_path, compiled):
    single = version(tmp_path, "1", (1,))
    tuning.tune(single)
    batched = version(tmp_path, "2", after=single)
    tuning.tune(batched)
    assert compiled == [single, batched]


def test_another_gpu_is_compiled_for(tmp_path, compiled, monkeypatch):
    first = version(tmp_path, "1")
    tuning.tune(first)
    of_name(monkeypatch, "NVIDIA L4")
    second = version(tmp_path, "2", after=first)
    tuning.tune(second)
    assert compiled == [first, second]


@pytest.mark.parametrize("note", ["", "{", "[]", "{}"])
def test_a_note_that_says_nothing_is_no_promise(tmp_path, compiled, note):
    first = version(tmp_path, "1")
    (first / TUNED).mkdir()
    (first / TUNED / tuning.COMPILED).write_text(note)
    tuning.tune(first)
    assert compiled == [first]
