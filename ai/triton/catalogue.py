"""Every detector that can be built here: ours, and those that `crossfade models add` brought."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from torch import nn

from ai.core.errors import CrossfadeError
from ai.core.spec import DetectorSpec
from ai.engines import onnx_export
from ai.engines.detector import TorchDetector
from ai.engines.settings import WeightsSettings
from ai.engines.weights import DEMO
from ai.rtdetr import model as rtdetr
from ai.triton.source import Source
from ai.yolo26 import model as yolo26

FAMILIES: dict[str, Callable[[], TorchDetector]] = {"rtdetr": rtdetr.detector, "yolo26": yolo26.detector}


class UnknownDetector(CrossfadeError):
    pass


def built_in(name: str) -> Source:
    """One of our two, with the weights that its environment variable names."""
    return _source(FAMILIES[name](), name, raw=yolo26_raw if name == "yolo26" else None)


def yolo26_raw() -> Source:
    return _source(yolo26.raw_detector(), "yolo26_raw")


def load_network(family: str, weights: Path | None) -> tuple[DetectorSpec, nn.Module]:
    """The spec of the bare network, and the network, from the family's demo weights or a file."""
    detector = yolo26.raw_detector() if family == "yolo26_raw" else FAMILIES[family]()
    return detector.head, detector.load_module(DEMO if weights is None else str(weights))


def _source(detector: TorchDetector, family: str, raw: Callable[[], Source] | None = None) -> Source:
    named = detector.find_weights(WeightsSettings(_env_prefix=detector.prefix).weights)
    file = detector.demo_weights if named == DEMO else Path(named)
    return Source(
        spec=detector.spec,
        fingerprint=fingerprint(file, repr(detector.head), onnx_export.OPSET),
        write_onnx=lambda output: _export(detector, named, output),
        reference=partial(detector.load, named),
        family=family,
        weights=None if named == DEMO else file,
        raw=raw,
    )


def all_sources(var: Path) -> dict[str, Callable[[], Source]]:
    """By name; a source is only opened when it is asked for."""
    return {name: partial(built_in, name) for name in FAMILIES}


def _export(detector: TorchDetector, named: str, output: Path) -> None:
    onnx_export.export(detector.load_module(named), detector.head, output)


def fingerprint(file: Path, *about: object) -> str:
    """A name that ultralytics resolves is hashed as a name until its file is there."""
    digest = hashlib.sha256(repr(about).encode())
    digest.update(file.read_bytes() if file.is_file() else str(file).encode())
    return digest.hexdigest()


def choose(known: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """`wanted` in order, or every known name when none is wanted."""
    known, wanted = sorted(known), list(wanted)
    if missing := [name for name in wanted if name not in known]:
        raise UnknownDetector(f"no detector is called {missing[0]!r}; there are: {', '.join(known)}")
    return wanted or known
