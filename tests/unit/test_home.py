"""When a detector is called blind, and when not; what the figures are made of; what Home Assistant is told there is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai.core.errors import BadSetting
from backend.home.blindness import LEAST_ASKED, Judgement, Shown, judged
from backend.home.broker import Broker, has_password
from backend.home.entities import KINDS, OFF, ON, Names
from backend.home.look import Counts, Flags, Look, flags_of, sides_of
from backend.home.settings import read_settings
from backend.home.story import Story, figures
from backend.home.windows import LONGEST_S, kept, last_minute
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from tests.services import ROOT

DETECTOR = "yolo26"
SERVES = {DETECTOR: {"legacy": "serves", "triton": "not asked"}}
FAILS = {DETECTOR: {"legacy": "fails", "triton": "not asked"}}
EVERY_S = 10.0
NAMES = Names("homeassistant", "crossfade", EVERY_S)


def look(at_s: float, sides=SERVES, away: str = "", **outcomes: int) -> Look:
    if away:
        return Look(at_s, away=away)
    return Look(at_s, sides=sides, counts={DETECTOR: Counts({"ok": 0, **outcomes})})


def after(*looks: Look) -> Judgement:
    return judged(DETECTOR, looks)


# --- who is blind -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looks", "blind", "words"),
    [
        ([look(0, away="gone home")], True, "gone home"),
        ([look(0)], False, "nobody asks; legacy would answer"),
        ([look(0, ok=5), look(10, ok=5)], False, "nobody asks"),
        ([look(0, FAILS)], True, "no side can serve yolo26: legacy fails; triton may not be asked"),
        (
            [look(0, {DETECTOR: {"legacy": "starting", "triton": "fails"}})],
            True,
            "legacy has not answered yet",
        ),
        ([look(0, {DETECTOR: {"legacy": "fails", "triton": "serves"}})], False, "triton would answer"),
        ([look(0), look(10, late=2)], False, "too few"),  # one late picture blinds nobody
        (
            [look(0), look(10, late=3)],
            True,
            "none of the last 3 pictures was looked at: 3 times the deadline",
        ),
        ([look(0), look(10, gone=40)], True, "40 times the caller left before the answer"),
        ([look(0), look(10, gone=40, ok=1)], False, "pictures are looked at"),
        ([look(0), look(10, refused=40)], False, "nobody asks"),  # what the caller sent was no picture
        ([look(0, FAILS), look(10, FAILS, ok=4)], False, "pictures are looked at"),  # by another worker
        ([look(0, FAILS, ok=4), look(10, FAILS, ok=4)], True, "no side can serve"),
    ],
)
def test_who_cannot_see_is_blind_and_who_is_asked_for_nothing_is_not(looks, blind, words):
    judgement = after(*looks)
    assert judgement.blind is blind
    assert words in judgement.why


def test_a_camera_that_asks_once_in_a_while_is_looked_at_over_more_than_a_minute():
    """Three pictures in six minutes, and none was looked at."""
    looks = [look(at_s, late=at_s // 120) for at_s in range(0, 361, 10)]
    assert after(*looks[:36]).blind is False
    assert after(*looks) == Judgement(
        True, "none of the last 3 pictures was looked at: 3 times the deadline passed"
    )


def test_a_minute_without_a_look_is_enough_where_pictures_are_many():
    seen = [look(float(at_s), ok=at_s) for at_s in range(0, 101, 10)]
    unseen = [look(float(at_s), ok=100, late=at_s - 100) for at_s in range(110, 171, 10)]
    verdicts = [after(*seen, *unseen[: count + 1]).blind for count in range(len(unseen))]
    assert verdicts == [False] * 5 + [True] * 2


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_what_is_shown_changes_when_two_looks_in_a_row_say_so_and_never_otherwise(verdicts):
    shown, expected = Shown(Judgement(verdicts[0], "")), verdicts[0]
    for before, now in pairwise(verdicts):
        shown = shown.after(Judgement(now, ""))
        expected = now if before == now else expected
        assert shown.judgement.blind is expected


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=70
    )
)  # fmt: skip
def test_by_counters_alone_only_who_was_asked_often_enough_and_looked_at_nothing_is_blind(grown):
    looks, ok, late, refused = [], 0, 0, 0
    for number, (more_ok, more_late, more_refused) in enumerate(grown):
        ok, late, refused = ok + more_ok, late + more_late, refused + more_refused
        looks.append(look(number * EVERY_S, ok=ok, late=late, refused=refused))
    last = grown[-6:] if len(grown) > 6 else grown[1:]
    if any(more_ok for more_ok, _, _ in last):
        assert not after(*looks).blind
    elif sum(more_late for _, more_late, _ in last) >= LEAST_ASKED:
        assert after(*looks).blind


def test_one_late_answer_flaps_nothing_and_an_outage_does():
    """The control: the same story, in which it was no single one."""
    shown = {"hiccup": [], "outage": []}
    for story, late in (("hiccup", {5}), ("outage", set(range(5, 20)))):
        house, ok = Story(NAMES, [DETECTOR]), 0
        for number in range(20):
            ok += number not in late
            told = house.after(look(number * EVERY_S, away="silent" if number in late else "", ok=ok))
            shown[story] += [m.payload for m in told.messages if m.topic == NAMES.blind(DETECTOR)]
    assert shown["hiccup"] == [OFF] * 20
    assert shown["outage"] == [OFF] * 6 + [ON] * 14


# --- figures ----------------------------------------------------------------------------------------------


def counted(at_s: float, ok: int, durations: tuple[int, ...], **more: int) -> Look:
    counts = Counts({"ok": ok, **more}, durations)
    return Look(at_s, sides=SERVES, counts={DETECTOR: counts}, edges_s=(0.01, 0.1, 1.0))


def test_figures_are_those_of_the_last_minute():
    looks = [
        counted(0, 0, (0, 0, 0, 0)),
        counted(60, 1000, (1000, 1000, 1000, 1000)),  # quick ones, a while ago
        counted(120, 1100, (1000, 1090, 1100, 1100), late=20, refused=60),
    ]
    told = figures(DETECTOR, looks)
    assert told["requests_per_s"] == 3.0
    assert told["errors_per_min"] == 20.0
    assert told["p95_ms"] == pytest.approx(550)  # halfway from 0.1 to 1 s
    assert told["legacy"] == "serves"


def test_what_nobody_knows_is_unknown_and_never_nought():
    told = figures(DETECTOR, [counted(0, 5, (5, 5, 5, 5)), look(10, away="silent")])
    assert set(told.values()) == {None}


def test_a_quantile_beyond_the_last_edge_is_the_last_edge():
    window = last_minute(DETECTOR, [counted(0, 0, (0, 0, 0, 0)), counted(60, 9, (0, 0, 0, 9))])
    assert window is not None
    assert window.quantile_s(0.95) == 1.0


def test_counters_that_fell_begin_anew():
    old, new = look(0, ok=500), look(10, ok=2)
    assert kept((old,), new) == (new,)
    assert kept((old, look(5, away="restarts")), new) == (new,)
    assert kept((old,), look(10, ok=500)) == (old, look(10, ok=500))


def test_looks_are_forgotten_in_time():
    looks: tuple[Look, ...] = ()
    for number in range(200):
        looks = kept(looks, look(number * EVERY_S, ok=number))
    assert len(looks) == LONGEST_S / EVERY_S + 1


# --- what is read out of the backend's documents ----------------------------------------------------------


@pytest.mark.parametrize("rolled_back", [False, True])
def test_a_rollback_is_what_the_rollouts_own_state_calls_one(rolled_back):
    state = RolloutState(fraction=0.3, ramps={DETECTOR: Ramp("a", (0.5, 1.0), phase="running", step=0)})
    state = state.rolled_back() if rolled_back else state
    table = json.loads(json.dumps(state.to_table())) | {"effective": {DETECTOR: 0.25}}
    flags = flags_of(table)[DETECTOR]
    phase = "ended" if rolled_back else "running"
    assert flags == Flags(state.fraction_of(DETECTOR), 0.25, phase, state.is_rolled_back(DETECTOR))
    assert flags.rolled_back is rolled_back


def test_a_side_without_a_lane_is_not_asked():
    lane = {"detector": DETECTOR, "backend": "triton", "allowed": True, "breaker": "closed", "heard": True}
    assert sides_of([lane]) == {DETECTOR: {"legacy": "not asked", "triton": "serves"}}


def test_detectors_that_the_backend_has_not_are_taken_away_again():
    story = Story(NAMES, ["rtdetr", DETECTOR])
    story.after(look(0, away="silent"))
    told = story.after(look(10))
    assert story.detectors == (DETECTOR,)
    emptied = {message.topic for message in told.messages if not message.payload}
    assert emptied == {message.topic for message in NAMES.forgetting("rtdetr")}


def test_who_uses_one_detector_hears_of_that_one_only():
    story = Story(NAMES, ["rtdetr", DETECTOR], frozenset({DETECTOR}))
    both = {"rtdetr": FAILS[DETECTOR], **SERVES}
    told = story.after(look(0, both))
    assert {message.topic.split("/")[1] for message in told.messages} == {DETECTOR}


# --- discovery --------------------------------------------------------------------------------------------

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
    looks = [look(0), replace(look(10, ok=5), flags={DETECTOR: Flags(0.1, 0.1, "watching")})]
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


# --- where to ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://broker", Broker("broker", 1883)),
        ("mqtts://broker", Broker("broker", 8883, tls=True)),
        ("mqtt://me:p%40ss%2F@[::1]:1884/", Broker("::1", 1884, "me", "p@ss/")),
    ],
)
def test_an_address_says_host_port_and_who(url, broker):
    assert Broker.at(url) == broker


@pytest.mark.parametrize(
    "url", ["broker", "http://me:hidden@broker", "mqtt://me:hidden@", "mqtt://me:hidden@broker:0",
            "mqtt://me:hidden@broker:x", "mqtt://me:hid/den@broker", "mqtt://me:hid#den@broker", "mqtt://me:hidden@[x"],
)  # fmt: skip
def test_what_is_wrong_with_an_address_is_said_without_its_password(url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MQTT_BROKER", url)
    with pytest.raises(BadSetting, match="the broker's") as caught:
        read_settings()
    assert "hid" not in str(caught.value)


def test_the_password_may_lie_in_a_file_and_a_file_that_is_not_there_is_never_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MQTT_BROKER", "mqtt://me@broker")
    monkeypatch.setenv("MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    with pytest.raises(BadSetting, match=r"MQTT_PASSWORD_FILE='.*': cannot be read: No such file"):
        read_settings()
    (tmp_path / "password").write_text("hidden\n")
    settings = read_settings()
    assert settings.broker.password == "hidden"
    assert "hidden" not in repr(settings) + repr(settings.broker)


def test_settings_stand_in_the_env_file_as_the_backends_do(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "MQTT_BROKER=mqtt://me:word@broker\nMQTT_EVERY_S=30\nMQTT_DETECTORS=yolo26, rtdetr\n"
    )
    settings = read_settings(mqtt_every_s=5)
    assert settings.broker.password == "word"
    assert settings.mqtt_every_s == 5
    assert settings.detectors == {"yolo26", "rtdetr"}
    with pytest.raises(BadSetting, match="MQTT_TOPIC='a b'"):
        read_settings(mqtt_topic="a b")


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("mqtt://me:word@host", True),
        ("mqtt://me:a@b@host:1", True),
        ("mqtt://me@host:1883", False),
        ("host:1883", False),
    ],
)
def test_a_password_in_an_address_is_noticed(url, has):
    assert has_password(url) is has
