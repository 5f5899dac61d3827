"""Under which names of `books` a judged pair is counted."""

from __future__ import annotations

from collections.abc import Iterator

from backend.observe.events import Compared


def pair_names(event: Compared, camera: str) -> Iterator[str]:
    """Each adds one, a name that comes twice adds two. `camera` is what the book calls the event's, or empty."""
    yield f"compared.{event.verdict}"
    if event.model_version:
        yield f"version.{event.model_version}"
    yield from (f"swap.{'/'.join(labels)}" for labels in event.swaps)
    if event.light is not None:
        yield from (f"kind.{kind}.{event.light}.{label}" for kind, label in event.differences)
        yield from (f"seen.{event.light}.{label}" for label in event.seen)
    if event.evidence is not None:
        yield f"disagreement.{event.evidence}"
        yield from _covered(event, camera)
    if event.unproven:
        yield "unproven"


def _covered(event: Compared, camera: str) -> Iterator[str]:
    """What an evidence sample is about, each thing once."""
    yield from sorted({f"class.{label}" for label in event.seen})
    if event.light is not None:
        yield f"light.{event.light}"
    if camera:
        yield f"camera.{camera}"
