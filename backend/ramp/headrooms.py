"""What this worker last measured of how well legacy could carry everything: asked for before each step."""

from __future__ import annotations

from backend.observe.events import Event, HeadroomMeasured


class Headrooms:
    """An observer; the last figure of each detector stays, since nobody measures what nobody asks."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, HeadroomMeasured):
            self._ratios[event.detector] = event.ratio

    def of(self, detector: str) -> float | None:
        """None: nobody knows."""
        return self._ratios.get(detector)
