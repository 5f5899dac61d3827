"""The line to a real broker: whom it trusts, and what becomes of what a broker does not take."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.home.broker import Broker
from backend.home.entities import Message, Names
from backend.home.errors import BrokerAway, HomeError
from backend.home.mqtt import Line
from tests.mosquitto_server import HOST, PASSWORD, assistant, needs_mosquitto, running_mosquitto
from tests.nginx_server import _certificate as certificate

pytestmark = needs_mosquitto

NAMES = Names("homeassistant", "crossfade", 10)


def certificate_of_another(folder: Path) -> tuple[Path, Path]:
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=another", "-addext", "subjectAltName=DNS:another",
         "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


def until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_over_tls_only_a_broker_whose_authority_is_trusted_is_told_the_password(tmp_path):
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        folder.mkdir()
    pair = certificate(ours)
    stranger, _ = certificate(other)
    with running_mosquitto(tmp_path / "mosquitto", tls=pair) as server:
        line = Line(Broker.at(server.url, PASSWORD, pair[0]), NAMES, lambda: None)
        line.open()
        line.close()
        with pytest.raises(HomeError, match="certificate verify failed"):
            Line(Broker.at(server.url, PASSWORD, stranger), NAMES, lambda: None).open()


def test_over_tls_a_broker_must_be_the_one_that_its_certificate_names(tmp_path):
    pair = certificate_of_another(tmp_path)
    with running_mosquitto(tmp_path / "mosquitto", tls=pair) as server:
        line = Line(Broker.at(server.url, PASSWORD, pair[0]), NAMES, lambda: None)
        with pytest.raises(BrokerAway, match="IP address mismatch"):
            line.open()


def test_what_a_broker_has_not_taken_is_followed_by_nothing_and_the_newest_is_told_at_last(tmp_path):
    """It would be told out of date, one after the other, when the broker goes on."""
    with running_mosquitto(tmp_path) as server, assistant(server) as hears:
        line = Line(Broker.at(server.url, PASSWORD), NAMES, lambda: None)
        line.open()
        line.send_all([Message("crossfade/count", "0")])
        hears.wait_for("crossfade/count", "0")
        server.freeze(signal.SIGSTOP)
        try:
            went = [line.send([Message("crossfade/count", str(number))]) for number in range(1, 50)]
        finally:
            server.freeze(signal.SIGCONT)
        assert went == [True] + [False] * 48
        until(lambda: line.send([Message("crossfade/count", "newest")]))
        hears.wait_for("crossfade/count", "newest")
        assert [text for topic, text in hears.heard if topic == "crossfade/count"] == ["0", "1", "newest"]
        line.close()


def test_two_publishers_of_one_topic_are_told_of_each_other(tmp_path):
    """The broker lets each push the other out, and says nothing of why."""
    said: list[str] = []
    with running_mosquitto(tmp_path) as server:
        lines = [Line(Broker.at(server.url, PASSWORD), NAMES, lambda: None, said.append) for _ in range(2)]
        for line in lines:
            line.open()
        until(lambda: any("another publisher" in one for one in said))
        for line in lines:
            line.close()


def test_without_paho_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(HomeError, match=r"pip install 'crossfade\[mqtt\]'"):
        Line(Broker(HOST, 1), NAMES, lambda: None)
