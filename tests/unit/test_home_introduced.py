"""What Home Assistant is told there is: in its own words, and in none that it would drop in silence."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from backend.home.entities import KINDS, Names
from backend.home.look import Counts, Flags, Look
from backend.home.story import figures
from tests.services import ROOT

DETECTOR = "yolo26"
SERVES = {DETECTOR: {"legacy": "serves", "triton": "not asked"}}
EVERY_S = 10.0
NAMES = Names("homeassistant", "crossfade", EVERY_S)

# https://www.home-assistant.io/integrations/binary_sensor.mqtt/ and …/sensor.mqtt/, "Configuration variables", and
# MQTT_ORIGIN_INFO_SCHEMA in homeassistant/components/mqtt/schemas.py. Unknown keys are ignored there in silence.
_COMMON = {
    "availability", "availability_mode", "availability_template", "availability_topic", "device", "device_class",
    "enabled_by_default", "encoding", "entity_category", "entity_picture", "expire_after", "force_update", "icon",
    "json_attributes_template", "json_attributes_topic", "name", "origin", "payload_available",
    "payload_not_available", "platform", "qos", "state_topic", "unique_id", "value_template",
}  # fmt: skip
ALLOWED = {
    "binary_sensor": _COMMON | {"off_delay", "payload_off", "payload_on"},
    "sensor": _COMMON
    | {
        "last_reset_value_template",
        "options",
        "state_class",
        "suggested_display_precision",
        "unit_of_measurement",
    },
}
ALLOWED_DEVICE = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name",
    "serial_number", "suggested_area", "sw_version", "via_device",
}  # fmt: skip
ALLOWED_ORIGIN = {"name", "sw_version", "support_url"}
TOPIC = re.compile(r"homeassistant/(sensor|binary_sensor)/([a-zA-Z0-9_-]+)/config")


@pytest.mark.parametrize(
    "message", NAMES.discovery(DETECTOR), ids=lambda message: message.topic.split("/")[2]
)
def test_every_entity_introduces_itself_in_keys_that_home_assistant_knows(message):
    found = TOPIC.fullmatch(message.topic)
    told = json.loads(message.payload)
    assert found is not None
    assert not told.keys() - ALLOWED[found[1]]
    assert not told["device"].keys() - ALLOWED_DEVICE
    assert not told["origin"].keys() - ALLOWED_ORIGIN
    assert told["unique_id"] == found[2]  # the page's best practice
    assert told["expire_after"] > 2 * EVERY_S
    if (
        told.get("device_class") == "enum"
    ):  # "cannot be used together with state_class or unit_of_measurement"
        assert told["options"]
        assert not told.keys() & {"state_class", "unit_of_measurement"}


def test_every_state_that_is_told_is_one_that_was_introduced():
    """A template that names no field, or an enum with a word that is no option, is an error in another's log."""
    now = Look(10, sides=SERVES, counts={DETECTOR: Counts({"ok": 5})})
    looks = [Look(0), replace(now, flags={DETECTOR: Flags(0.1, 0.1, "watching")})]
    told = figures(DETECTOR, looks)
    introduced = {m.topic.split("/")[2]: json.loads(m.payload) for m in NAMES.discovery(DETECTOR)}
    for kind in KINDS[1:]:
        entity = introduced[f"crossfade_yolo26_{kind.field}"]
        assert entity["value_template"] == "{{ value_json." + kind.field + " }}"
        assert kind.field in told
        assert told[kind.field] in entity.get("options", [told[kind.field]])
    assert told.keys() == {kind.field for kind in KINDS[1:]}


def test_the_page_names_the_entities_as_home_assistant_will():
    """It makes an entity's id of its device's name and its own."""
    page = (ROOT / "docs" / "home-assistant.md").read_text()
    named = set(re.findall(r"(?:binary_)?sensor\.crossfade_\w+", page))
    made = set()
    for message in NAMES.discovery(DETECTOR):
        told, component = json.loads(message.payload), message.topic.split("/")[1]
        words = f"{told['device']['name']} {told['name']}".lower().replace(" ", "_")
        made.add(f"{component}.{words}")
    short = {
        "sensor.crossfade_yolo26_triton_share",
        "sensor.crossfade_yolo26_triton",
    }  # written as …_triton there
    assert named == made - short


def test_nothing_that_is_introduced_can_be_commanded():
    """A rollout is changed by those who hold a key: over MQTT nobody does."""
    assert not any("command" in message.payload for message in NAMES.discovery(DETECTOR))


def test_names_of_detectors_cannot_leave_their_topic():
    names = [message.topic for message in NAMES.discovery("a/b+#")] + [NAMES.blind("a/b+#")]
    assert all(re.fullmatch(r"[\w/-]+", name) and name.count("/") in (2, 3) for name in names)


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("https://crossfade.example", True),
        ("http://10.0.0.2:8080", True),
        ("http://me:hidden@10.0.0.2:8080", False),
        ("10.0.0.2:8080", False),
        ("", False),
    ],
)
def test_a_page_that_home_assistant_would_refuse_or_that_holds_a_password_is_not_introduced(url, is_told):
    """One key that it does not take costs the whole entity, and with it the alarm."""
    for message in Names("homeassistant", "crossfade", EVERY_S, url).discovery(DETECTOR):
        assert json.loads(message.payload)["device"].get("configuration_url") == (url if is_told else None)
        assert "hidden" not in message.payload


def test_two_names_never_share_an_entity():
    """One detector's OFF would take the other's ON away."""
    names = [Names("homeassistant", topic, EVERY_S) for topic in ("home/one", "home_one", "home")]
    topics = [m.topic for one in names for name in ("a-b", "a_b", "a/b", "a b") for m in one.discovery(name)]
    ids = [
        json.loads(m.payload)["unique_id"]
        for one in names
        for name in ("a-b", "a_b", "a/b", "a b")
        for m in one.discovery(name)
    ]
    assert len(topics) == len(set(topics))
    assert len(ids) == len(set(ids))
    blind = [NAMES.blind(name) for name in ("a/b", "a_b", "a b")]
    assert len(set(blind)) == 3


@pytest.mark.parametrize("every_s", [1.0, 10.0, 300.0])
def test_an_entity_outlives_two_looks_that_take_their_time_and_is_not_believed_for_long(every_s):
    for message in Names("homeassistant", "crossfade", every_s).discovery(DETECTOR):
        expires_s = json.loads(message.payload)["expire_after"]
        assert 2 * every_s < expires_s <= max(30, 3 * every_s)
