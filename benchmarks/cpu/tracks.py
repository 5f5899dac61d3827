"""What takes part for one detector: A, legacy; B and C, pixels in; D, encoded pictures in, on each engine.

Legacy, and D over HTTP, are asked by the plain generator. What a client has to do itself is part of B and C, so
these are asked by processes with `TritonClient`, and D is too, to have gRPC beside HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks import kserve
from benchmarks.comparison import BASE, BATCHED_TWIN, CEILING, TARGET_CALLERS, UNBATCHED
from benchmarks.pictures import Pictures
from benchmarks.processes import Program
from benchmarks.sides import Side, ceiling_side, legacy_side
from benchmarks.variants import Variant

SCALED = "scaled"
LARGE = "large"
ENGINES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "torch"}
ONLY = (TARGET_CALLERS,)  # callers that ask for large pictures
TARGETS = ("f32", "bf16", "int8", "ort")


@dataclass(frozen=True, slots=True)
class Track:
    side: Side
    about: Mapping[str, Any] = field(default_factory=dict)
    against: tuple[str, ...] = (BASE,)


@dataclass(frozen=True, slots=True)
class Place:
    """What the tracks of one detector are made of."""

    legacy: Program
    triton: Program
    models: Path
    variants: Sequence[Variant]  # that were kept
    pictures: Pictures
    seconds: float
    ceiling_seconds: float
    large: Pictures | None = None
    legacy_scaled: Program | None = None  # decodes as the variant `scaled` does

    def variant(self, name: str) -> Variant | None:
        return next((one for one in self.variants if one.name == name), None)

    def about(self, variant: Variant, track: str, more: str = "") -> dict[str, Any]:
        what = f"{ENGINES[variant.engine]} {variant.precision}"
        about = variant.about(self.models)
        return {**about, "track": track, "title": f"{track}: {what}{more}", "target": False}


def tracks_of(place: Place) -> list[Track]:
    legacy = legacy_side(place.legacy, place.pictures.paths, place.seconds)
    ceiling = ceiling_side(place.pictures.paths, place.ceiling_seconds)
    return [
        Track(legacy, {"track": "A", "title": "A: legacy, torch", "target": False}, ()),
        *_encoded(place),
        *_over_grpc(place),
        *_tiers(place),
        *_pixels(place),
        *_large(place),
        Track(ceiling, {}, ()),
    ]


def pairs_of(tracks: Sequence[Track]) -> list[tuple[str, str]]:
    names = {track.side.name for track in tracks}
    return [(track.side.name, other) for track in tracks for other in track.against if other in names]


def _encoded(place: Place) -> Iterator[Track]:
    bodies = kserve.write_bodies(place.pictures.paths)
    for one in place.variants:
        if one.name == SCALED:
            continue
        more = {UNBATCHED: ", batching off", "two": ", two instances"}.get(one.name, "")
        against = {BATCHED_TWIN: (BASE, UNBATCHED), "two": (BASE, BATCHED_TWIN)}.get(one.name, (BASE,))
        about = {**place.about(one, "D", more), "target": one.name in TARGETS}
        yield Track(_over_http(place, one.name, one.model, bodies), about, against)


def _over_grpc(place: Place) -> Iterator[Track]:
    one = place.variant(BATCHED_TWIN)
    if one is None:
        return
    for protocol in ("grpc", "http"):
        name = f"{one.name}-{protocol}"
        against = (BASE, f"{one.name}-http") if protocol == "grpc" else (BASE, one.name)
        about = place.about(one, "D", f", TritonClient over {protocol}")
        side = Side(name, place.triton, place.pictures.paths, place.seconds, model=one.model, client=protocol)
        yield Track(side, about, against)


def _tiers(place: Place) -> Iterator[Track]:
    bodies = kserve.write_bodies(place.pictures.paths)
    for one in place.variants:
        for tier in ("streaming", "batch"):
            model = f"{one.model}_{tier}"
            if (place.models / model).is_dir():
                side = _over_http(place, f"{one.name}-{tier}", model, bodies)
                yield Track(side, place.about(one, "D", f", tier {tier}"), (BASE, one.name))


def _pixels(place: Place) -> Iterator[Track]:
    for one in place.variants:
        for track, model in (("C", one.name), ("B", f"{one.name}_raw")):
            if (place.models / model).is_dir():
                name = f"{one.name}-{track}"
                pictures = place.pictures.paths
                side = Side(name, place.triton, pictures, place.seconds, model=model, client="grpc")
                yield Track(side, place.about(one, track), (BASE, f"{one.name}-grpc"))


def _large(place: Place) -> Iterator[Track]:
    """Pictures of which a decoder may leave pixels out: legacy and D as they are, and both with that decoder."""
    plain, scaled = place.variant(BATCHED_TWIN), place.variant(SCALED)
    if place.large is None or plain is None:
        return
    paths, bodies, words = place.large.paths, kserve.write_bodies(place.large.paths), f", {place.large.size}"
    legacy = legacy_side(place.legacy, paths, place.seconds)
    yield Track(
        replace(legacy, name=f"{BASE}-{LARGE}", only=ONLY),
        {"track": "A", "title": f"A: legacy, torch{words}"},
        (),
    )
    side = replace(_over_http(place, f"{plain.name}-{LARGE}", plain.model, bodies), only=ONLY)
    yield Track(side, place.about(plain, "D", words), (f"{BASE}-{LARGE}",))
    if scaled is None or place.legacy_scaled is None:
        return
    legacy = replace(legacy, name=f"{BASE}-{SCALED}", program=place.legacy_scaled, only=ONLY)
    title = f"A: legacy, torch, scaled decoding{words}"
    yield Track(legacy, {"track": "A", "title": title}, (f"{BASE}-{LARGE}",))
    side = replace(_over_http(place, f"{SCALED}-{LARGE}", scaled.model, bodies), only=ONLY)
    about = place.about(scaled, "D", f", scaled decoding{words}")
    yield Track(side, about, (f"{BASE}-{SCALED}", f"{plain.name}-{LARGE}"))


def _over_http(place: Place, name: str, model: str, bodies: tuple[Path, ...]) -> Side:
    return Side(name, place.triton, bodies, place.seconds, kserve.ask(model), model)


def sizes_of(place: Place, tracks: Sequence[Track]) -> dict[str, tuple[str, int]]:
    """The sides that are not sent the suite's own pictures, or that have no ceiling of the plain generator."""
    own = (str(place.pictures.size), place.pictures.jpeg_bytes)
    large = (str(place.large.size), place.large.jpeg_bytes) if place.large else own
    return {
        track.side.name: large if track.side.only else own
        for track in tracks
        if (track.side.only or track.side.client) and track.side.name != CEILING
    }
