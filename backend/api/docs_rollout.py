"""What /docs says of the rollout: its flags, its history, its ramps, and what was seen on the way."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse

from backend.api.asked import MAX_REASON_CHARS
from backend.api.describing import KEY, Example, Operation, answered, parameter, problems, takes
from backend.api.ramp import ACTIONS
from backend.api.schemas import BINARY, FLAG, FLAGS, NAME, STEP, STEPS, TEXT, listed, or_null, table
from backend.rollout.ramps import MAX_STEPS
from backend.settings import DETECTORS

_AT = 1795248000.2
_FLAGS: Example = {
    "enabled": True, "fraction": 0.1, "shadow": 0.1, "overrides": {"yolo26": 0.5},
    "pins": {"front door": "legacy"}, "pins_suspended": False,
}  # fmt: skip
_ANSWER: Example = {
    "question": "disagreement", "worse": 1, "same": 311, "better": 0, "bound": 0.003, "rate": 0.0032,
    "low": -0.004, "high": 0.017, "well": -0.4, "ill": -0.2, "well_at": 3.0, "ill_at": 9.2, "needed": 1414,
}  # fmt: skip
_LOOK: Example = {
    "detector": "yolo26", "epoch": "5f2c9a.3", "at": _AT, "action": "hold",
    "words": "hold: 312 of about 1,414 samples, about 40 minutes", "waits_for": ["1,102 samples of disagreement"],
    "fault": "", "answers": [_ANSWER], "eta_s": 2400.0,
    "trail": [{"samples": 300, "rate": 0.0033, "low": -0.005, "high": 0.018}],
}  # fmt: skip
_RAMP: Example = {
    "id": "5f2c9a", "steps": [0.1, 0.25, 0.5, 0.75, 1.0], "phase": "running", "step": 2, "tries": 3, "paused": "",
    "dry_run": False, "gates": [1.0], "approved": 0.0, "forced": "", "started_at": _AT - 7200, "step_at": _AT - 600,
    "slow_bin": 312, "model_version": "1", "baseline": {"class.person": 80, "light.day": 120}, "ended": "",
    "rolled_back": False,
    "epoch": "5f2c9a.3", "fraction": 0.5, "asked": 0.5, "effective": 0.5, "look": _LOOK,
}  # fmt: skip
_RAMPS: Example = {"ramps": {"yolo26": _RAMP}}
_ROLLOUT: Example = {
    "version": 12, **_FLAGS, "kill_switch": False, "stale": False, "effective": {"rtdetr": 0.1, "yolo26": 0.5},
    "workers": [{"worker": "nvr-4711", "version": 12, "at": _AT}], **_RAMPS,
}  # fmt: skip
_CHANGE: Example = {
    "version": 12, "at": _AT, "who": "admin", "reason": "a week without a fallback",
    "before": {"version": 11, "fraction": 0.1}, "after": {"version": 12, "fraction": 0.25}, "figures": None,
}  # fmt: skip
_SAMPLE: Example = {
    "id": "01K9ZD4M7Q", "at": _AT, "detector": "yolo26", "camera": "yard", "epoch": "5f2c9a.3", "light": "day",
    "model_version": "1", "kinds": ["missed"], "labels": ["person"],
    "legacy": [[212.4, 88.1, 273.4, 232.0, 0.93, 0]], "triton": [], "width": 960, "height": 540,
    "picture": "/api/rollout/samples/01K9ZD4M7Q.jpg", "names": {"0": "person"},
}  # fmt: skip
_IF_MATCH = {
    "name": "If-Match", "in": "header", "required": True, "schema": TEXT, "example": '"v12"',
    "description": "The ETag that GET answered, or *",
}  # fmt: skip
_LIMIT = parameter(
    "query", "limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "How many"
)
_DETECTOR = parameter(
    "query", "detector", {"type": "string", "enum": list(DETECTORS)}, "Of this detector only; none: all"
)
_SAMPLE_ID = {
    "name": "sample_id", "in": "path", "required": True, "description": "As the list of samples names it",
    "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{1,64}$"},
}  # fmt: skip
_CAMERA = parameter("query", "camera", NAME, "Of this camera only")


_ORDER: dict[str, Any] = {
    "action": {"type": "string", "enum": list(ACTIONS)},
    "detector": or_null({"type": "string", "enum": list(DETECTORS)}),
    "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
    "steps": or_null(STEPS),
    "gates": or_null(listed(STEP) | {"maxItems": MAX_STEPS}),
    "dry_run": FLAG,
    "force": FLAG,
}


def _also(described: Operation, media_type: str, content: Operation) -> Operation:
    return {**described, "content": {**described["content"], media_type: content}}


def _form(name: str, what: str) -> Operation:
    return parameter("query", "format", {"type": "string", "enum": ["json", name], "default": "json"}, what)


_AWAY = {
    **problems(503, schema="NotRolledBack")[503],
    "description": "The store is away. With rolled_back_here this worker obeys it, and the store is told later",
}

ROLLOUT: Operation = {
    "tags": ["rollout"],
    "summary": "What was asked for, what this worker makes of it, and which workers know it",
    "openapi_extra": takes(None, [], KEY),
    "responses": {200: answered("Rollout", _ROLLOUT), **problems(401, 403, 503)},
}
ROLLOUT_CHANGE: Operation = {
    "tags": ["rollout"],
    "summary": "Change some of the flags, of the version that was seen",
    "openapi_extra": takes(
        {
            "application/json": {
                "schema": table({**FLAGS, "reason": TEXT}, (*FLAGS, "reason")),
                "example": {"fraction": 0.25, "reason": "a week without a fallback"},
            }
        },
        [_IF_MATCH],
        KEY,
    ),
    "responses": {
        200: answered("Rollout", _ROLLOUT),
        **problems(400, 401, 403, 408, 409, 412, 413, 422, 428, 503),
    },
}
ROLLBACK: Operation = {
    "tags": ["rollout"],
    "summary": "Everything to legacy, at once",
    "openapi_extra": takes(
        {
            "application/json": {
                "schema": table({"reason": TEXT}, ("reason",)),
                "example": {"reason": "night shift"},
            }
        },
        [],
        KEY,
        must=False,
    ),
    "responses": {
        200: answered("RolledBack", {**_ROLLOUT, "pending": []}, "Every live worker obeys it"),
        202: answered(
            "RolledBack", {**_ROLLOUT, "pending": ["nvr-4712"]}, "Done, and not yet confirmed by these"
        ),
        **problems(400, 401, 403, 408, 409, 413, 422),
        503: _AWAY,
    },
}
HISTORY: Operation = {
    "tags": ["rollout"],
    "summary": "Who changed what, when, why and by which figures; newest first",
    "openapi_extra": takes(
        None,
        [
            _LIMIT,
            _DETECTOR,
            _form("jsonl", "jsonl: all of it, a change a line; no limit unless one is named"),
        ],
        KEY,
    ),
    "responses": {
        200: _also(
            answered("History", {"changes": [_CHANGE]}),
            "application/x-ndjson",
            {"schema": TEXT, "example": f"{_CHANGE}\n"},
        ),
        **problems(401, 403, 422, 503),
    },
}
RAMPS: Operation = {
    "tags": ["ramp"],
    "summary": "Each detector's way to Triton, and the last look at it",
    "openapi_extra": takes(None, [], KEY),
    "responses": {200: answered("Ramps", _RAMPS), **problems(401, 403, 503)},
}
RAMP_ORDER: Operation = {
    "tags": ["ramp"],
    "summary": "Start, pause, resume or abort a ramp, or approve the step that waits for it",
    "openapi_extra": takes(
        {
            "application/json": {
                "schema": table(_ORDER, tuple(_ORDER.keys() - {"action"})),
                "example": {"action": "start", "detector": "yolo26", "steps": [0.1, 0.5, 1.0], "gates": [1.0],
                            "dry_run": False, "force": False, "reason": "certified on Monday"},
            }
        },
        [],
        KEY,
    ),
    "responses": {200: answered("Ramps", _RAMPS), **problems(400, 401, 403, 408, 409, 413, 422, 503)},
}  # fmt: skip
RAMP_ABORT: Operation = {
    "tags": ["ramp"],
    "summary": "End a ramp; Triton's share stays as it is",
    "openapi_extra": takes(
        None,
        [
            _DETECTOR,
            parameter(
                "query", "reason", {"type": "string", "maxLength": MAX_REASON_CHARS}, "For the history"
            ),
        ],
        KEY,
    ),
    "responses": {200: answered("Ramps", _RAMPS), **problems(401, 403, 409, 422, 503)},
}
REPORT: Operation = {
    "tags": ["ramp"],
    "summary": "What a ramp has shown so far, as a document or as a page that holds everything it shows",
    "openapi_extra": takes(
        None,
        [
            parameter("query", "detector", {"type": "string", "enum": list(DETECTORS)}, "Whose; none: TRITON_MODEL"),
            _form("html", "html: one page, without scripts"),
        ],
        KEY,
    ),
    "responses": {
        200: _also(
            answered("Report", {"schema": 1, "detector": "yolo26", "ramp": _RAMP, "look": _LOOK}),
            "text/html", {"schema": TEXT, "example": "<!doctype html>…"},
        ),
        **problems(401, 403, 422, 503),
    },
}  # fmt: skip
EVENTS: Operation = {
    "tags": ["ramp"],
    "summary": "The rollout, each new look and the traffic as server-sent events, for as long as one listens",
    "description": (
        "`rollout` is what GET /api/rollout answers, at once and whenever something of it changes; `look` is each new "
        "look at a ramp. Their id is the rollout's version. `traffic` is what GET /api/traffic answers, every 2 s. Who "
        "reads slowly misses what was overtaken."
    ),
    "openapi_extra": takes(None, [], KEY),
    "response_class": StreamingResponse,
    "responses": {
        200: {
            "description": "Without an end",
            "content": {
                "text/event-stream": {
                    "schema": TEXT,
                    "example": 'retry: 2000\n\nid: 12\nevent: look\ndata: {"detector": "yolo26", …}\n\n',
                }
            },
        },
        **problems(401, 403, 503),
    },
}
SAMPLES: Operation = {
    "tags": ["ramp"],
    "summary": "Pairs that differ: what each side saw; newest first",
    "openapi_extra": takes(
        None,
        [
            _LIMIT, _DETECTOR, _CAMERA,
            parameter("query", "kind", NAME, "missed, extra, swapped, misplaced or duplicate"),
            parameter("query", "class", NAME, "A class that differs"),
        ],
        KEY,
    ),
    "responses": {200: answered("Samples", {"samples": [_SAMPLE]}), **problems(401, 403, 422, 503)},
}  # fmt: skip
SAMPLES_REMOVE: Operation = {
    "tags": ["ramp"],
    "summary": "Remove the samples of one camera, or of all; for good",
    "openapi_extra": takes(
        None,
        [
            _CAMERA | {"example": "yard"},
            parameter("query", "all", {"type": "string", "enum": ["true"]}, "Of every camera"),
        ],
        KEY,
    ),
    "responses": {200: answered("Removed", {"removed": 17}), **problems(401, 403, 422, 503)},
}
SAMPLE_PICTURE: Operation = {
    "tags": ["ramp"],
    "summary": "The picture of one sample",
    "openapi_extra": takes(
        None,
        [_SAMPLE_ID],
        KEY,
    ),
    "response_class": Response,
    "responses": {
        200: {"description": "JPEG", "content": {"image/jpeg": {"schema": BINARY, "example": "…"}}},
        **problems(401, 403, 404, 503),
    },
}  # fmt: skip
