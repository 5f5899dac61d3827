"""A DetectorClient with scripted sides, composed as the backend composes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from backend.main import compose_client
from backend.observe.events import Attempted, Event
from backend.rollout.flags import Flags, View
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.services.detector_client import DetectorClient
from backend.services.lanes import Lane
from backend.services.probe import Prober
from backend.settings import Settings
from backend.sides import LEGACY, TRITON, Side
from backend.transports.fake import FakeTransport

JPEG = b"\xff\xd8 a picture, to whom it concerns"
DETECTOR = "yolo26"


@dataclass
class Heart:
    client: DetectorClient
    prober: Prober
    flags: Flags
    legacy: FakeTransport
    triton: FakeTransport
    events: list[Event] = field(default_factory=list)

    def lane(self, side: Side) -> Lane:
        return self.client._lanes[DETECTOR, side]

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def attempts(self, side: Side, *, synthetic: bool = False) -> list[str]:
        """Their codes, in the order in which they ended."""
        return [
            one.code for one in self.told(Attempted) if one.backend == side and one.synthetic == synthetic
        ]

    def show(self, **changes: Any) -> None:
        """Change what the flags say, as a rollout does: one version on."""
        view = self.flags.view
        state = view.state or RolloutState()
        known = {name: value for name, value in changes.items() if name in View.__dataclass_fields__}
        moved = {name: value for name, value in changes.items() if name not in known}
        self.flags.show(replace(view, **known, state=replace(state, version=state.version + 1, **moved)))

    def ask(self, **what: Any):
        return self.client.detect(JPEG, **{"detector": DETECTOR, **what})


def heart(
    legacy: FakeTransport | None = None,
    triton: FakeTransport | None = None,
    *,
    fraction: float = 1.0,
    view: View | None = None,
    observe: Callable[[Event], None] | None = None,
    **settings: Any,
) -> Heart:
    """At 100 % Triton, unless told otherwise; both sides answer a dog."""
    legacy, triton = legacy or FakeTransport(), triton or FakeTransport()
    chosen = Settings(_env_file=None, **{"triton_enabled": True, **settings})
    view = view or View(
        state=RolloutState(version=1, fraction=fraction), legacy_enabled=chosen.legacy_enabled
    )
    flags = Flags(view)
    seen = Traffic(60.0).seen
    events: list[Event] = []
    client, prober = compose_client(
        chosen, {LEGACY: legacy, TRITON: triton}, flags, seen, observe or events.append
    )
    made = Heart(client, prober, flags, legacy, triton, events)
    prober.look_at_flags()
    return made
