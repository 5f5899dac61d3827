"""One request for detections: who asks, what for, how long it waits, and where its body arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from ai.web.intake import Intake
from ai.web.waiting import expiry, while_wanted
from backend.api.asked import Asked
from backend.api.auth import who
from backend.api.counting import told_by_the_client
from backend.api.keys import Role
from backend.api.parts import Parts, parts_of
from backend.api.upload import introduced
from backend.services.deadline import Deadline
from backend.services.errors import NotServed
from backend.services.request import RequestInfo, Served, Wishes


@dataclass(frozen=True, slots=True)
class Job:
    request: Request
    parts: Parts
    intake: Intake
    asked: Asked
    about: RequestInfo
    expires_at: float | None  # when the caller stops waiting, on the monotonic clock

    async def serve(self, image: bytes, asked: Asked, deadline_s: float) -> Served:
        """By one of the sides; raises NotServed, or CallerGone: the deadline is the client's to keep."""
        work = self.parts.client.detect(image, **_wishes(self.about, asked, self.deadline(deadline_s)))
        with told_by_the_client(self.request):
            return await while_wanted(self.request, work)

    async def serve_batch(self, images: Sequence[bytes]) -> list[Served | NotServed]:
        deadline = self.deadline(self.parts.settings.detect_deadline_s)
        work = self.parts.client.detect_batch(images, **_wishes(self.about, self.asked, deadline))
        with told_by_the_client(self.request):
            return await while_wanted(self.request, work)

    def deadline(self, seconds: float) -> Deadline:
        """Made when the body has arrived: a slow line is no fault of a side."""
        ours = Deadline.after(seconds)
        if self.expires_at is None:
            return ours
        return ours.no_later_than(max(0.0, self.expires_at - time.monotonic()))


def _wishes(about: RequestInfo, asked: Asked, deadline: Deadline) -> Wishes:
    return {
        "about": about,
        "camera": asked.camera,
        "detector": asked.detector,
        "deadline": deadline,
        "force": asked.force,
        "thresholds": asked.thresholds,
    }


@contextmanager
def job(request: Request) -> Iterator[Job]:
    """A Problem for what is wrong before the body is read; what the body takes of the budget is given back."""
    parts = parts_of(request)
    about = introduced(request)
    asked = Asked.of(request)
    if asked.force is not None:  # a diagnosis
        who(request, Role.ADMIN)
    expires_at = expiry(request)
    with parts.budget.share() as take:
        yield Job(request, parts, Intake(request, parts.intake_limits, take), asked, about, expires_at)
