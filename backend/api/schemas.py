"""The shapes of what is answered, as JSON Schema. They are written by `answers.py` and tested against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.ramp.looks import QUESTIONS
from backend.rollout.ramps import MAX_STEPS, PHASES
from backend.rollout.state import MAX_NAME_CHARS
from backend.sides import SIDES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
BINARY: Schema = {"type": "string", "format": "binary"}
SIDE: Schema = {"type": "string", "enum": list(SIDES)}
BREAKER: Schema = {"type": "string", "enum": ["closed", "open", "half_open"]}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}


def table(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties)} | ({"required": required} if required else {})


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _by_name(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


# Of a step: more than nothing, and as many as a ramp takes.
STEP: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
STEPS: Schema = {"type": "array", "items": STEP, "minItems": 1, "maxItems": MAX_STEPS}

FLAGS: Mapping[str, Schema] = {
    "enabled": FLAG,
    "fraction": SHARE,
    "shadow": SHARE,
    "overrides": _by_name(SHARE),
    "pins": _by_name(SIDE),
    "pins_suspended": FLAG,
}
_ROLLOUT: Mapping[str, Schema] = {
    "version": COUNT,
    **FLAGS,
    "kill_switch": FLAG,
    "stale": FLAG,
    "effective": _by_name(SHARE),
    "workers": listed(table({"worker": TEXT, "version": COUNT, "at": NUMBER})),
    "ramps": _by_name(ref("Ramp")),
}
_RAMP: Mapping[str, Schema] = {
    "id": TEXT,
    "steps": STEPS,
    "phase": {"type": "string", "enum": list(PHASES)},
    "step": {"type": "integer", "minimum": -1},
    "tries": COUNT,
    "paused": TEXT,
    "dry_run": FLAG,
    "gates": listed(SHARE),
    "approved": SHARE,
    "forced": TEXT,
    "started_at": NUMBER,
    "step_at": NUMBER,
    "slow_bin": or_null(COUNT),
    "model_version": TEXT,
    "baseline": or_null(_by_name(COUNT)),
    "ended": TEXT,
    "rolled_back": FLAG,
    "epoch": TEXT,
    "fraction": SHARE,
    "asked": SHARE,
    "effective": SHARE,
    "look": or_null(ref("Look")),
}
_ANSWERED_QUESTION: Mapping[str, Schema] = {
    "question": {"type": "string", "enum": list(QUESTIONS)},
    **dict.fromkeys(("worse", "same", "better"), COUNT),
    "bound": NUMBER,
    **dict.fromkeys(("rate", "low", "high"), or_null(NUMBER)),
    **dict.fromkeys(("well", "ill", "well_at", "ill_at"), NUMBER),
    "needed": COUNT,
}
_LOOK: Mapping[str, Schema] = {
    "detector": TEXT,
    "epoch": TEXT,
    "at": NUMBER,
    "action": TEXT,
    "words": TEXT,
    "waits_for": listed(TEXT),
    "fault": TEXT,
    "answers": listed(table(_ANSWERED_QUESTION)),
    "eta_s": or_null(NUMBER),
    "trail": listed(table({"samples": COUNT, **dict.fromkeys(("rate", "low", "high"), NUMBER)})),
}
_SAMPLE: Mapping[str, Schema] = {
    "id": TEXT,
    "at": NUMBER,
    **dict.fromkeys(("detector", "camera", "epoch", "light", "model_version"), TEXT),
    **dict.fromkeys(("kinds", "labels"), listed(TEXT)),
    **dict.fromkeys(("legacy", "triton"), listed(listed(NUMBER))),
    "width": COUNT,
    "height": COUNT,
    "picture": TEXT,
    "names": _by_name(TEXT),
}
_CHANGE: Mapping[str, Schema] = {
    "version": COUNT,
    "at": NUMBER,
    "who": TEXT,
    "reason": TEXT,
    "before": or_null({"type": "object"}),
    "after": {"type": "object"},
    "figures": or_null({"type": "object"}),
}
_ANSWER: Mapping[str, Schema] = {
    "detections": listed(ref("Detection")),
    "image": table({"width": COUNT, "height": COUNT}),
    "served_by": table(
        {
            "backend": SIDE,
            "detector": TEXT,
            "model_version": TEXT,
            "reason": TEXT,
            "fallback_reason": or_null(TEXT),
            "attempts": COUNT,
            "bucket": COUNT,
            "flag_version": COUNT,
        }
    ),
    "timing_ms": table({"total": NUMBER, "backend": NUMBER}),
}
_PROBLEM: Mapping[str, Schema] = {"type": TEXT, "title": TEXT, "status": COUNT, "detail": TEXT}
_LANE: Mapping[str, Schema] = {
    "detector": TEXT,
    "backend": SIDE,
    "allowed": FLAG,
    "breaker": BREAKER,
    "heard": FLAG,
    "in_flight": COUNT,
    "for_callers": FLAG,
}

_ME: Mapping[str, Schema] = {
    "name": TEXT,
    "role": {"type": "string", "enum": ["caller", "viewer", "admin"]},
    "detection_open": FLAG,
    "detectors": listed(TEXT),
    "default_detector": TEXT,
    "console": TEXT,
}

_COUNTS = _by_name(COUNT)
_TRAFFIC_SIDE: Mapping[str, Schema] = {
    "requests": _COUNTS,
    "durations": listed(COUNT),
    "attempts": _COUNTS,
    "in_flight_all_detectors": COUNT,
    "breaker": BREAKER,
    "ready": or_null(FLAG),
}
_TRAFFIC: Mapping[str, Schema] = {
    "sides": table(dict.fromkeys(SIDES, table(_TRAFFIC_SIDE))),
    "unserved": _COUNTS,
    "fallbacks": listed(table({"from": SIDE, "to": SIDE, "reason": TEXT, "count": COUNT})),
    "compared": _COUNTS,
    "headroom": or_null(NUMBER),
}

COMPONENTS: Mapping[str, Schema] = {
    "Problem": table(_PROBLEM),
    "NotRolledBack": table({**_PROBLEM, "rolled_back_here": {"const": True}}, ("rolled_back_here",)),
    "DeepStackProblem": table({**_PROBLEM, "success": {"const": False}, "error": TEXT}),
    "Detection": table(
        {
            "class": TEXT,
            "class_id": COUNT,
            "confidence": SHARE,
            "bbox": table({"x": NUMBER, "y": NUMBER, "width": NUMBER, "height": NUMBER}),
        }
    ),
    "Answer": table(_ANSWER),
    "BatchAnswer": table(
        {
            "results": listed(
                {
                    "anyOf": [
                        table({"index": COUNT, "filename": TEXT, **_ANSWER}),
                        table({"index": COUNT, "filename": TEXT, "error": ref("Problem")}),
                    ]
                }
            ),
            "num_images": COUNT,
            "timing_ms": table({"total": NUMBER}),
        }
    ),
    "DeepStackAnswer": table(
        {
            "success": {"const": True},
            "predictions": listed(
                table(
                    {
                        "label": TEXT,
                        "confidence": SHARE,
                        **dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), COUNT),
                    }
                )
            ),
            "duration": COUNT,
        }
    ),
    "Rollout": table(_ROLLOUT),
    "RolledBack": table({**_ROLLOUT, "pending": listed(TEXT)}),
    "Change": table(_CHANGE),
    "History": table({"changes": listed(ref("Change"))}),
    "Look": table(_LOOK),
    "Ramp": table(_RAMP),
    "Ramps": table({"ramps": _by_name(ref("Ramp"))}),
    "Report": {"type": "object"},
    "Samples": table({"samples": listed(table(_SAMPLE))}),
    "Removed": table({"removed": COUNT}),
    "Me": table(_ME),
    "Traffic": table(
        {
            "at": NUMBER,
            "detectors": _by_name(table(_TRAFFIC)),
            "edges_s": listed(NUMBER),
            "shed": _COUNTS,
            "retries": COUNT,
        }
    ),
    "Alive": table({"status": {"const": "alive"}}),
    "Ready": table({"status": {"const": "ready"}, "lanes": listed(table(_LANE))}),
    "NotReady": table({**_PROBLEM, "lanes": listed(table(_LANE))}),
}
