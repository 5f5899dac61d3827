"""Pairs that differ: what each side saw, and the picture. They show somebody's home: a viewer's key, and no cache."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import Request, Response

from ai.core.labels import COCO_80
from ai.web.problems import Problem
from backend.api import answers
from backend.api.asked import count, known_detector, name
from backend.api.auth import who
from backend.api.keys import Role
from backend.api.parts import parts_of
from backend.rollout.store import Sample, Store

logger = logging.getLogger(__name__)

PATH = "/api/rollout/samples"
MAX_LISTED = 1000
PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}

_ID = re.compile(r"[0-9A-Za-z]{1,64}")


async def listed(request: Request) -> Response:
    """Newest first, without the pictures."""
    parts = parts_of(request)
    who(request, Role.VIEWER)
    asked = partial(
        _samples,
        limit=count(request, "limit", default=100, most=MAX_LISTED),
        detector=known_detector(request.query_params.get("detector"), parts.client.detectors) or "",
        camera=name(request, "camera"),
        kind=name(request, "kind"),
        label=name(request, "class"),
    )
    samples = await parts.rollout.ask(asked)
    return answers.json_of(request, {"samples": [_table(sample) for sample in samples]}, PRIVATE)


async def picture(request: Request) -> Response:
    parts = parts_of(request)
    who(request, Role.VIEWER)
    sample_id = request.path_params["sample_id"]
    jpeg = await parts.rollout.ask(partial(_picture, sample_id)) if _ID.fullmatch(sample_id) else None
    if jpeg is None:
        raise Problem(404, "there is no such sample; they are removed by age, by room and by hand", PRIVATE)
    return Response(
        jpeg, headers=PRIVATE | {"Content-Security-Policy": "default-src 'none'"}, media_type="image/jpeg"
    )


async def remove(request: Request) -> Response:
    """For good, of one camera or of all; a bare DELETE may be a slip, and is refused."""
    parts = parts_of(request)
    by = who(request, Role.ADMIN)
    camera, everything = name(request, "camera"), request.query_params.get("all", "")
    if bool(camera) == bool(everything) or everything not in ("", "true"):
        raise Problem(422, "say whose samples to remove: camera=NAME, or all=true")
    removed = await parts.rollout.ask(lambda store: store.remove_samples(camera or None))
    logger.info("%d samples of %s removed by %s", removed, repr(camera) if camera else "all cameras", by)
    return answers.json_of(request, {"removed": removed})


def _samples(
    store: Store, limit: int, detector: str, camera: str, kind: str, label: str
) -> tuple[Sample, ...]:
    return store.samples(limit, detector, camera, kind, label)


def _picture(sample_id: str, store: Store) -> bytes | None:
    return store.picture(sample_id)


def _table(sample: Sample) -> dict[str, Any]:
    return asdict(sample) | {"picture": f"{PATH}/{sample.id}.jpg", "names": names(sample)}


def names(sample: Sample) -> dict[str, str]:
    """What the class ids of its boxes are called; nothing where its own labels say that the detector is no COCO's."""
    ids = sorted({int(row[5]) for row in (*sample.legacy, *sample.triton) if len(row) >= 6})
    known = {str(number): COCO_80[number] for number in ids if 0 <= number < len(COCO_80)}
    return known if set(sample.labels) <= set(known.values()) else {}
