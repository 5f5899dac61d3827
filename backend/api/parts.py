"""What the routes work with: made once by `main`, reached through the request's app.

Named here, imported by nobody at run time: the metrics must not be imported before `main` has told Prometheus where
the workers meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from ai.core.header import ImageLimits
from ai.web.intake import Budget, IntakeLimits

if TYPE_CHECKING:
    from backend.api.keys import Keys
    from backend.observe.events import Observer
    from backend.observe.metrics import Metrics
    from backend.ramp.orders import Orders
    from backend.rollout.control import Rollout
    from backend.services.detector_client import DetectorClient
    from backend.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    client: DetectorClient
    rollout: Rollout
    orders: Orders
    keys: Keys
    metrics: Metrics
    observe: Observer
    budget: Budget  # for the bodies of all requests
    intake_limits: IntakeLimits
    image_limits: ImageLimits

    @classmethod
    def of(
        cls,
        settings: Settings,
        client: DetectorClient,
        rollout: Rollout,
        orders: Orders,
        keys: Keys,
        metrics: Metrics,
        observe: Observer,
    ) -> Parts:
        """With what follows from the settings; the lifespan puts it at `app.state.parts`."""
        limits = IntakeLimits(
            settings.max_image_bytes,
            settings.max_batch_images,
            settings.max_batch_bytes,
            settings.upload_timeout_s,
        )
        budget = Budget(settings.max_receiving_bytes)
        images = settings.image_limits
        return cls(settings, client, rollout, orders, keys, metrics, observe, budget, limits, images)


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts
