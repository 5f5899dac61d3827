"""Every detector that can be built here: ours, and those that `crossfade models add` brought."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.engines import onnx_export
from ai.engines.detector import TorchDetector
from ai.engines.settings import WeightsSettings
from ai.engines.weights import DEMO
from ai.triton.building import added
from ai.triton.building.source import Source, fingerprint
from ai.triton.inside.families import FAMILIES

BUILT_IN = ("rtdetr", "yolo26")


class UnknownDetector(CrossfadeError):
    pass


def built_in(name: str) -> Source:
    """One of our two, with the weights that its environment variable names."""
    raw = f"{name}_raw"
    return _source(name, raw=partial(_source, raw) if raw in FAMILIES else None)


def _source(family: str, raw: Callable[[], Source] | None = None) -> Source:
    detector = FAMILIES[family]()
    named = detector.find_weights(WeightsSettings(_env_prefix=detector.prefix).weights)
    file = detector.demo_weights if named == DEMO else Path(named)
    return Source(
        spec=detector.spec,
        fingerprint=fingerprint(file, repr(detector.head), onnx_export.OPSET),
        write_onnx=lambda output: _export(detector, named, output),
        reference=partial(detector.load, named),
        family=family,
        head=detector.head,
        weights=None if named == DEMO else file,
        raw=raw,
    )


def all_sources(var: Path) -> dict[str, Callable[[], Source]]:
    """By name; a source is only opened when it is asked for."""
    return {**{name: partial(built_in, name) for name in BUILT_IN}, **added.sources(detectors_in(var))}


def detectors_in(var: Path) -> Path:
    """Where added detectors are kept."""
    return var / "detectors"


def _export(detector: TorchDetector, named: str, output: Path) -> None:
    onnx_export.export(detector.load_module(named), detector.head, output)


def choose(known: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """`wanted` in order, or every known name when none is wanted."""
    known, wanted = sorted(known), list(wanted)
    if missing := [name for name in wanted if name not in known]:
        raise UnknownDetector(f"no detector is called {missing[0]!r}; there are: {', '.join(known)}")
    return wanted or known
