"""Where the broker is and as whom it is spoken to, as people say it, and what is wrong with it without its password."""

from __future__ import annotations

import pytest

from ai.core.errors import BadSetting
from backend.home.broker import Broker, has_password
from backend.home.settings import read_settings


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


@pytest.mark.parametrize("every_s", [0, 0.99, 301, float("nan"), float("inf"), -5])
def test_looks_too_seldom_to_be_compared_are_refused(every_s, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSetting, match="MQTT_EVERY_S"):
        read_settings(mqtt_every_s=every_s)
