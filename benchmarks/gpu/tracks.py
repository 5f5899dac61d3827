"""What takes part for one network on a GPU: A, legacy; B and C, pixels in; D, encoded pictures in.

The generator is several processes throughout: one sends less than a GPU answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import kserve
from benchmarks.comparison import BASE
from benchmarks.cpu.tracks import Track
from benchmarks.gpu.variants import MAIN, OFF, WORDS
from benchmarks.machine import usable_cores
from benchmarks.pictures import Pictures
from benchmarks.processes import Program
from benchmarks.sides import Side, ceiling_side, legacy_side
from benchmarks.variants import Variant

FEW = (1, 8, 64)  # callers, for what is beside the point at the others
MANY = (64, 128)
TIERS = {"streaming": FEW, "batch": (8, 64, 512)}  # and their callers


@dataclass(frozen=True, slots=True)
class Place:
    """What the tracks of one network are made of."""

    legacy: Program
    triton: Program
    models: Path
    variants: Sequence[Variant]
    pictures: Pictures
    seconds: float
    ceiling_seconds: float


def tracks_of(place: Place) -> list[Track]:
    processes = max(1, len(usable_cores()) // 2)
    tracks = [
        Track(
            legacy_side(place.legacy, place.pictures.paths, place.seconds),
            {"track": "A", "title": "A: legacy"},
            (),
        ),
        *_encoded(place),
        *_other_ways(place),
        Track(ceiling_side(place.pictures.paths, place.ceiling_seconds), {}, ()),
    ]
    return [replace(track, side=replace(track.side, processes=processes)) for track in tracks]


def _encoded(place: Place) -> Iterator[Track]:
    """Over HTTP, as legacy is asked."""
    for variant in place.variants:
        only = () if variant.name == MAIN else FEW if variant.name == OFF else MANY
        against = (BASE,) if variant.name == MAIN else (BASE, MAIN)
        about = {**variant.about(place.models), "track": "D", "title": f"D: {WORDS[variant.name]}"}
        yield Track(_over_http(place, variant.name, variant.model, only), about, against)


def _other_ways(place: Place) -> Iterator[Track]:
    """The same model over gRPC, its tiers, and its twins that take pixels, for which the client works too."""
    main = next(variant for variant in place.variants if variant.name == MAIN)
    for tier, callers in TIERS.items():
        side = _over_http(place, tier, f"{main.model}_{tier}", callers)
        yield Track(side, {"track": "D", "title": f"D: the tier {tier}"}, (BASE, MAIN))
    for name, title, model in (
        ("grpc", "D: TritonClient over gRPC", main.model),
        ("C", "C: pixels in, rows out", main.name),
        ("B", "B: pixels in, candidates out", f"{main.name}_raw"),
    ):
        if (place.models / model).is_dir():
            paths = place.pictures.paths
            side = Side(name, place.triton, paths, place.seconds, model=model, client="grpc", only=FEW)
            yield Track(side, {"track": title[0], "title": title}, (BASE, MAIN))


def _over_http(place: Place, name: str, model: str, only: tuple[int, ...]) -> Side:
    bodies = kserve.write_bodies(place.pictures.paths)
    return Side(name, place.triton, bodies, place.seconds, kserve.ask(model), model, only=only)
