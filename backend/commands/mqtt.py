"""`crossfade mqtt`: what a home's automation is told of this migration, above all whether a detector is blind."""

from __future__ import annotations

import argparse
import time

from backend.commands.asking import KEY_VARIABLE, add_asking
from backend.commands.statuses import Status
from backend.commands.words import Commands, complain, tell
from backend.home.broker import has_password
from backend.home.entities import Names
from backend.home.errors import HomeError
from backend.home.look import Look
from backend.home.mqtt import Line
from backend.home.publishing import Printed, Publisher, Send, nowhere
from backend.home.settings import HomeSettings, read_settings
from backend.home.story import Story
from backend.home.watching import Watching
from backend.settings import DETECTORS, Settings, whole_environment
from backend.stack.backend_api import BackendApi, NotAnswered
from backend.stack.plan import is_local
from backend.stack.signals import asked_to_end

BETWEEN_S = 2.0  # two looks: a figure per second is their difference

_MORE = """\
  crossfade mqtt --broker mqtt://crossfade@homeassistant.local     the password: MQTT_PASSWORD_FILE=…
  crossfade mqtt --once --json                                     what would be published, without a broker
MQTT_BROKER may stand for --broker and hold the password too: what is on a command line, everybody on the machine can
read. mqtts:// is TLS, with MQTT_CA_FILE where the broker's authority is your own.
It tells and never obeys: no message changes the rollout. docs/home-assistant.md has the sensors and an automation."""


def add_words(commands: Commands) -> None:
    mqtt = add_asking(
        commands, "mqtt", _mqtt, "tell Home Assistant over MQTT what is seen, and what is blind", _MORE
    )
    mqtt.add_argument("--broker", metavar="URL", help="mqtt[s]://[USER@]HOST[:PORT] (MQTT_BROKER)")
    mqtt.add_argument("--prefix", help="where Home Assistant discovers (MQTT_PREFIX; default: homeassistant)")
    mqtt.add_argument("--topic", help="what is published stands under it (MQTT_TOPIC; default: crossfade)")
    mqtt.add_argument(
        "--every", type=float, metavar="S", help="seconds between two looks (MQTT_EVERY_S; default: 10)"
    )
    mqtt.add_argument(
        "--detector", action="append", metavar="NAME", help="speak of this one only; again for more"
    )
    mqtt.add_argument("--once", action="store_true", help="publish once, and end")
    mqtt.add_argument("--json", action="store_true", help="print what would be published, and ask no broker")


def _mqtt(args: argparse.Namespace, settings: Settings) -> int:
    ours = _settings(args)
    api = BackendApi.of(settings, args.url, args.key or whole_environment().get(KEY_VARIABLE) or ours.key)
    names = Names(ours.mqtt_prefix, ours.mqtt_topic, ours.mqtt_every_s, "" if is_local(api.url) else api.url)
    watching = Watching(api)
    publisher = Publisher(
        watching.look, Story(names, DETECTORS, ours.detectors), names, complain if args.json else tell
    )
    first = _allowed(watching.look())
    if args.json:
        return _print(args, ours, names, publisher, first)
    return _publish(args, ours, names, publisher, first)


def _settings(args: argparse.Namespace) -> HomeSettings:
    if args.broker and has_password(args.broker):
        raise HomeError(
            "--broker holds a password, which everybody on this machine can read in `ps`; put the address into "
            "MQTT_BROKER, or the password into a file that MQTT_PASSWORD_FILE names"
        )
    ours = read_settings(
        mqtt_broker=args.broker, mqtt_prefix=args.prefix, mqtt_topic=args.topic, mqtt_every_s=args.every,
        mqtt_detectors=",".join(args.detector) if args.detector else None,
    )  # fmt: skip
    if not (ours.mqtt_broker or args.json):
        raise HomeError("which broker? --broker mqtt://USER@HOST or MQTT_BROKER says it")
    return ours


def _allowed(first: Look) -> Look:
    """A key that may not look is found out at the start, not in a home's history."""
    if first.denied:
        raise NotAnswered(first.denied, first.missing)
    return first


def _print(
    args: argparse.Namespace, ours: HomeSettings, names: Names, publisher: Publisher, first: Look
) -> int:
    printed = Printed(names, tell)
    if args.once:
        _once(publisher, printed.send, first)
        return Status.DONE
    with asked_to_end(publisher.stop):
        publisher.run(printed.send, ours.mqtt_every_s)
    return Status.DONE


def _publish(
    args: argparse.Namespace, ours: HomeSettings, names: Names, publisher: Publisher, first: Look
) -> int:
    line = Line(ours.broker, names, publisher.hear, complain)
    if args.once:
        line.open()
        try:
            _once(publisher, line.send_all, first)
        finally:
            line.close(farewell=False)
        return Status.DONE
    with asked_to_end(publisher.stop):
        if publisher.open(line):
            tell(f"telling {ours.broker.name} under {names.topic}, every {ours.mqtt_every_s:g} s")
            publisher.run(line.send, ours.mqtt_every_s)
            line.close()
    return Status.DONE


def _once(publisher: Publisher, send: Send, first: Look) -> None:
    """What is said of the second look; the first is what its counters are compared with."""
    publisher.once(nowhere, first)
    time.sleep(BETWEEN_S)
    publisher.hear()
    publisher.once(send)
