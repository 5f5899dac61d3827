"""What can be wrong with a Triton, each fault planted on purpose in a real one; `tests.faulty_model` has them.

house = build_house(folder)                      # both versions, and what else a fault needs
with running_triton(house.repository) as triton:
    house.plant(FAULTS["shifted"].table)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from ai.triton.building.source import Source
from ai.triton.repository import Options, build
from ai.triton.stored import versions
from ai.triton.stored.served import GRAPH
from tests.small_yolo26 import source
from tests.tritons import RunningTriton

MODEL = "yolo26_jpeg"
OLDER, NEWER = 1, 2  # the versions
FOUR_BITS = "four-bits"
NOISE = 0.12  # of a layer's weights' spread: another training's, so to say; it still finds most things
FAULTY_MODEL = Path(__file__).with_name("faulty_model.py")


@dataclass(frozen=True)
class Fault:
    name: str
    words: str  # for readers
    named: str  # how the ramp has to name it, as a pattern
    table: Mapping[str, Any] = field(default_factory=dict)  # what `fault.json` says


# What is wrong with it, how the ramp has to call it, and what the model is told.
# fmt: off
FAULTS = {one.name: one for one in (
    Fault("shifted", "boxes stand 30 % of their size to the side and down", "misplaced", {"shifts": 0.3}),
    Fault("swapped", "cars are called trucks, and trucks cars", "(car and truck|truck and car) are swapped",
          {"renames": {"car": "truck", "truck": "car"}}),
    Fault("class lost", "no dog is found any more", "dog is (never found|missed)", {"loses": ["dog"]}),
    Fault("infrared", "no people are found in infrared", "person is missed in infrared",
          {"loses_in_infrared": ["person"]}),
    Fault("quantised", "weights are rounded to 4 bits", "scores differ|is missed|are missed", {"graph": FOUR_BITS}),
    Fault("slow", "30 % slower than legacy", "slower: p95"),  # the times are measured first
    Fault("errors", "1 % of the requests fail", "errors: ", {"fails": 0.01}),
    Fault("dying", "the stub dies under a request, and nobody restarts it", "the stub is dead|errors: server_error",
          {"dies_after": 20}),
    Fault("stale", "an older version with other weights serves", "another model version answers: 1"),
)}
# fmt: on


@dataclass(frozen=True)
class FaultyHouse:
    """A model repository whose one model has the faults it is told to have, and what it needs for that."""

    folder: Path
    newer: Source
    older: Source

    @property
    def repository(self) -> Path:
        return self.folder / "models"

    def plant(self, table: Mapping[str, Any]) -> None:
        """From the next execution on; an empty table is health."""
        aside = self.folder / "fault.part"
        aside.write_text(json.dumps(dict(table)))
        aside.replace(self.folder / "fault.json")

    def serve(self, triton: RunningTriton, version: int) -> None:
        """Let Triton load its newest version, or the one before that."""
        model = self.repository / MODEL
        if version == OLDER and NEWER in versions.numbers(model):
            versions.set_aside(model, NEWER)
        elif version == NEWER and NEWER not in versions.numbers(model):
            versions.put_back(model, next(model.glob(f"failed-{NEWER}-*")), NEWER)
        url = f"http://{triton.http_url}/v2/repository/models/{MODEL}/load"
        answer = httpx.post(url, headers=triton.http_admin, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text


def build_house(folder: Path) -> FaultyHouse:
    """Exports, changes and writes the networks, as `crossfade models build` does: about ten seconds."""
    newer = source()
    older = replace(
        newer, fingerprint=f"older than {newer.fingerprint}", write_onnx=lambda path: _older(newer, path)
    )
    house = FaultyHouse(folder, newer, older)
    for one in (older, newer):
        build(house.repository, {"yolo26": one}, Options(), lambda _: None)
    for version in (OLDER, NEWER):
        shutil.copyfile(FAULTY_MODEL, house.repository / MODEL / str(version) / "model.py")
    graphs = folder / "graphs"
    graphs.mkdir()
    rewrite(house.repository / MODEL / str(NEWER) / GRAPH, graphs / f"{FOUR_BITS}.onnx", in_four_bits)
    return house


def _older(newer: Source, path: Path) -> None:
    newer.write_onnx(path)
    random = np.random.default_rng(7)
    rewrite(path, path, lambda weights: weights + random.normal(0, NOISE * weights.std(), weights.shape))


def in_four_bits(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sixteen steps for each output channel, as far as its largest weight."""
    step = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True) / 7
    rounded: npt.NDArray[Any] = np.round(weights / np.maximum(step, 1e-12)) * step
    return rounded


def rewrite(graph: Path, output: Path, change: Any) -> None:
    """The same network, its convolutions' weights changed."""
    network = onnx.load(str(graph))
    for weights in network.graph.initializer:
        if len(weights.dims) == 4:
            changed = change(numpy_helper.to_array(weights)).astype(np.float32)
            weights.CopyFrom(numpy_helper.from_array(changed, weights.name))
    onnx.save(network, str(output))
