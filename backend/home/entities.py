"""What Home Assistant is told there is: each entity's discovery message, and where its state stands. Pure.

https://www.home-assistant.io/integrations/mqtt/#discovery-messages; the keys of each kind are on its own page
(binary_sensor.mqtt, sensor.mqtt).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from backend.home.look import NO_RAMP, PAUSED, SIDE_STATES
from backend.rollout.ramps import PHASES
from backend.sides import SIDES

ON, OFF = "ON", "OFF"
UNKNOWN = "None"  # Home Assistant's word for a state that nobody can tell
ONLINE, OFFLINE = "online", "offline"
_LEAST_EXPIRY_S = 30.0
_MEASUREMENT: Final = {"state_class": "measurement"}
_DIAGNOSTIC: Final = {"entity_category": "diagnostic"}


@dataclass(frozen=True, slots=True)
class Message:
    """All are retained: who comes later finds the last one. An empty payload takes a retained one away."""

    topic: str
    payload: str

    def to_table(self) -> dict[str, Any]:
        try:
            payload = json.loads(self.payload)
        except ValueError:
            payload = self.payload
        return {"topic": self.topic, "retain": True, "payload": payload}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of entity that each detector has; its state is a field of the detector's state document."""

    field: str
    component: str
    words: str  # after the detector's name
    more: Mapping[str, Any]


def _side(side: str) -> Kind:
    options = {"device_class": "enum", "options": list(SIDE_STATES)}
    return Kind(side, "sensor", side, {**options, **_DIAGNOSTIC})


def _share(field: str, words: str) -> Kind:
    return Kind(field, "sensor", words, {"unit_of_measurement": "%", **_MEASUREMENT})


KINDS: Final = (
    Kind("blind", "binary_sensor", "blind", {"device_class": "problem"}),
    Kind("rolled_back", "binary_sensor", "rolled back", {"device_class": "problem"}),
    _share("share_asked", "Triton share asked"),
    _share("share_effective", "Triton share"),
    Kind("requests_per_s", "sensor", "pictures per second", {"unit_of_measurement": "1/s", **_MEASUREMENT}),
    Kind("p95_ms", "sensor", "p95", {"device_class": "duration", "unit_of_measurement": "ms", **_MEASUREMENT}),
    Kind("errors_per_min", "sensor", "errors per minute", {"unit_of_measurement": "1/min", **_MEASUREMENT}),
    Kind(
        "ramp", "sensor", "ramp",
        {"device_class": "enum", "options": [NO_RAMP, PAUSED, *PHASES], **_DIAGNOSTIC},
    ),
    *(_side(side) for side in SIDES),
)  # fmt: skip
BLIND: Final = KINDS[0]  # has topics of its own: why it is blind are its attributes


@dataclass(frozen=True, slots=True)
class Names:
    prefix: str  # of Home Assistant
    topic: str  # of what is published
    every_s: float
    url: str = (
        ""  # of the backend, for people; empty where it means nothing elsewhere, or is not for all to read
    )

    @property
    def availability(self) -> str:
        return f"{self.topic}/availability"

    @property
    def birth(self) -> str:
        """Home Assistant says here that it has started."""
        return f"{self.prefix}/status"

    def state(self, detector: str) -> str:
        return f"{self.topic}/{_plain(detector)}/state"

    def blind(self, detector: str) -> str:
        return f"{self.topic}/{_plain(detector)}/blind"

    def why_blind(self, detector: str) -> str:
        return f"{self.topic}/{_plain(detector)}/blind/why"

    def discovery(self, detector: str) -> list[Message]:
        return [
            Message(self._config(kind, detector), json.dumps(self._introduced(kind, detector)))
            for kind in KINDS
        ]

    def forgetting(self, detector: str) -> list[Message]:
        """Home Assistant takes its entities away."""
        topics = [self._config(kind, detector) for kind in KINDS]
        topics += [self.state(detector), self.blind(detector), self.why_blind(detector)]
        return [Message(topic, "") for topic in topics]

    def _config(self, kind: Kind, detector: str) -> str:
        """Best practice of the page above: the object's id is the unique one, and there is no node's id."""
        return f"{self.prefix}/{kind.component}/{self._unique_id(kind, detector)}/config"

    def _introduced(self, kind: Kind, detector: str) -> dict[str, Any]:
        return {
            "name": f"{detector} {kind.words}",
            "unique_id": self._unique_id(kind, detector),
            **self._places(kind, detector),
            **kind.more,
            "availability_topic": self.availability,
            "expire_after": round(max(3 * self.every_s, _LEAST_EXPIRY_S)),
            "qos": 1,
            "device": self._device,
            "origin": {"name": "Crossfade", "sw_version": version("crossfade")},
        }

    def _places(self, kind: Kind, detector: str) -> dict[str, str]:
        if kind is BLIND:
            return {
                "state_topic": self.blind(detector),
                "json_attributes_topic": self.why_blind(detector),
            }
        return {
            "state_topic": self.state(detector),
            "value_template": "{{ value_json.%s }}" % kind.field,  # noqa: UP031 - braces enough
        }

    @property
    def _device(self) -> dict[str, Any]:
        own = "" if self.topic == "crossfade" else f" {self.topic}"
        page = {"configuration_url": self.url} if _is_page(self.url) else {}
        return {
            "identifiers": [_plain(self.topic)],
            "name": f"Crossfade{own}",
            "manufacturer": "Crossfade",
            "model": "Detection backend",
            "sw_version": version("crossfade"),
            **page,
        }

    def _unique_id(self, kind: Kind, detector: str) -> str:
        return f"{_plain(self.topic)}_{_plain(detector)}_{kind.field}"


def _is_page(url: str) -> bool:
    """With any other address Home Assistant takes the whole entity for a mistake; and everybody can read it there."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def announced(names: Names, detectors: Iterable[str]) -> list[Message]:
    return [message for detector in sorted(detectors) for message in names.discovery(detector)]


def _plain(name: str) -> str:
    """As ids in topics may be written; two names never become one."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{blake2b(name.encode(), digest_size=4).hexdigest()}"
