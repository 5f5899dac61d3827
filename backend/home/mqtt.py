"""The line to the broker. It is kept up by paho-mqtt, which tries again by itself; a last will says when it broke.

The only module that knows paho, and only when it is used: `pip install 'crossfade[mqtt]'` brings it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from backend.home.broker import Broker
from backend.home.entities import OFFLINE, ONLINE, Message, Names
from backend.home.errors import BrokerAway, BrokerRefused, HomeError

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

KEEPALIVE_S = 15  # a line that was cut without a word is noticed after one and a half of it
ANSWER_S = 10.0  # for the broker to let us in, and to take what is published
FAREWELL_S = 2.0
PUSHED_OUT_S = 5.0  # whoever is lost so soon was let in, and then sent away for another of its name
BACKOFF_S, LONGEST_BACKOFF_S = 1, 60
_QOS = 1
_ENDED_BY_US = 0

Say = Callable[[str], None]


def nothing_said(_: str) -> None:
    """Where nobody listens."""


class Line:
    """`hear` is called from another thread whenever everything should be told anew."""

    def __init__(
        self, broker: Broker, names: Names, hear: Callable[[], None], say: Say = nothing_said
    ) -> None:
        self._broker = broker
        self._names = names
        self._hear = hear
        self._say = say
        self._answered = threading.Event()
        self._refusal = ""
        self._sent: list[MQTTMessageInfo] = []
        self._came_at = 0.0
        self._client = self._made()

    def open(self) -> None:
        """BrokerAway or BrokerRefused; once it is open it is kept open."""
        self._answered.clear()
        self._refusal = ""
        try:
            self._client.connect(self._broker.host, self._broker.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            raise BrokerAway(f"the broker at {self._broker.name} cannot be reached: {error}") from error
        self._client.loop_start()
        if not self._answered.wait(ANSWER_S):
            self._end()
            raise BrokerAway(f"the broker at {self._broker.name} takes the connection, and does not answer")
        if self._refusal:
            self._end()
            raise BrokerRefused(self._refused())

    def send(self, messages: Sequence[Message]) -> bool:
        """Whether they went out. Nothing waits for a line that is down, or behind what a broker has not taken yet: it
        would be old when it is told."""
        if not (self._client.is_connected() and _taken(self._sent)):
            return False
        self._sent = [self._publish(one) for one in (Message(self._names.availability, ONLINE), *messages)]
        return True

    def send_all(self, messages: Sequence[Message]) -> bool:
        """Returns when the broker has them; BrokerAway where it does not say so in time."""
        if not (self.send(messages) and _taken(self._sent, ANSWER_S)):
            raise BrokerAway(f"the broker at {self._broker.name} did not take what was published")
        return True

    def close(self, farewell: bool = True) -> None:
        """A publisher that ends says so; one that came for a single message leaves what it said to expire."""
        if farewell and self._client.is_connected():
            _taken([self._publish(Message(self._names.availability, OFFLINE))], FAREWELL_S)
        self._end()

    def _publish(self, one: Message) -> MQTTMessageInfo:
        return self._client.publish(one.topic, one.payload, _QOS, retain=True)

    def _made(self) -> Client:
        mqtt = _paho()
        client: Client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"crossfade-{self._names.topic}",  # the same for each start: a line that still hangs is replaced
        )
        client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls:
            self._trust(client)
        client.will_set(self._names.availability, OFFLINE, _QOS, retain=True)
        client.reconnect_delay_set(BACKOFF_S, LONGEST_BACKOFF_S)
        client.on_connect, client.on_disconnect = self._came, self._went
        client.on_message = self._heard
        return client

    def _trust(self, client: Client) -> None:
        ca_file = self._broker.ca_file
        try:
            client.tls_set(ca_certs=str(ca_file) if ca_file else None)
        except OSError as error:  # ssl's errors are among them
            raise HomeError(
                f"MQTT_CA_FILE='{ca_file}': holds no certificate that can be read ({error})"
            ) from error

    def _came(self, client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused_because(str(reason))
            return
        client.subscribe(self._names.birth, _QOS)
        self._sent = []
        self._came_at = time.monotonic()
        was_open = self._answered.is_set()
        self._refusal = ""
        self._answered.set()
        if was_open:
            self._say(f"the broker at {self._broker.name} is back")
        self._hear()

    def _refused_because(self, reason: str) -> None:
        was_open, self._refusal = self._answered.is_set() and not self._refusal, reason
        self._answered.set()
        if was_open:
            self._say(self._refused())

    def _went(self, _client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.value == _ENDED_BY_US or self._refusal:
            return
        at_once = time.monotonic() - self._came_at < PUSHED_OUT_S
        why = "does another publisher use this topic?" if at_once else reason
        self._say(f"the broker at {self._broker.name} is lost ({why}); it is tried again")

    def _heard(self, _client: Client, _userdata: Any, message: Any) -> None:
        """Home Assistant was started, and knows nothing yet."""
        if message.payload == ONLINE.encode():
            self._hear()

    def _refused(self) -> str:
        who = f"user {self._broker.user!r}" if self._broker.user else "a connection without a user"
        return f"the broker at {self._broker.name} refuses {who}: {self._refusal}"

    def _end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _taken(sent: Sequence[MQTTMessageInfo], within_s: float = 0.0) -> bool:
    """By the broker."""
    ends_at = time.monotonic() + within_s
    try:
        for one in sent:
            if within_s:
                one.wait_for_publish(max(0.0, ends_at - time.monotonic()))
        return all(one.is_published() for one in sent)
    except (ValueError, RuntimeError):  # it never went out: the line broke at that moment
        return False


def _paho() -> Any:
    try:
        import paho.mqtt.client as mqtt  # noqa: PLC0415 - an extra that most installations lack
    except ImportError as error:
        raise HomeError("MQTT needs paho-mqtt: pip install 'crossfade[mqtt]'") from error
    return mqtt
