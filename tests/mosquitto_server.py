"""A real mosquitto on a free port of this machine, and one who listens to it as Home Assistant does."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from tests.services import free_port

HOST = "127.0.0.1"
USER, PASSWORD = "crossfade", "an-mqtt-password"
PATIENCE_S = 60.0

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto") is None or shutil.which("mosquitto_passwd") is None,
    reason="there is no mosquitto here (Debian: apt-get install mosquitto)",
)


class MosquittoServer:
    """Knows one user; keeps what is retained over a restart."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt{'s' if self._tls else ''}://{USER}@{HOST}:{self.port}"

    def start(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            words = ["mosquitto", "-c", str(self._configuration())]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        ends_at = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
            assert time.monotonic() < ends_at, "mosquitto does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """As a service manager does: what is retained is written down first."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)

    def freeze(self, blow: signal.Signals) -> None:
        """SIGSTOP, until SIGCONT."""
        assert self._process is not None
        self._process.send_signal(blow)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        with socket.socket() as way:
            return way.connect_ex((HOST, self.port)) == 0

    def _configuration(self) -> Path:
        passwords = self.folder / "passwords"
        if not passwords.exists():
            words = ["mosquitto_passwd", "-b", "-c", str(passwords), USER, PASSWORD]
            subprocess.run(words, check=True, capture_output=True)
        lines = [
            f"listener {self.port} {HOST}", "allow_anonymous false", f"password_file {passwords}",
            "persistence true", f"persistence_location {self.folder}/",
        ]  # fmt: skip
        if self._tls:
            lines += [f"certfile {self._tls[0]}", f"keyfile {self._tls[1]}"]
        if os.getuid() == 0:  # it would go on as a user who may not enter the tests' folders
            lines.append("user root")
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return path


@contextmanager
def running_mosquitto(folder: Path, tls: tuple[Path, Path] | None = None) -> Iterator[MosquittoServer]:
    folder.mkdir(parents=True, exist_ok=True)
    server = MosquittoServer(folder, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Assistant:
    """Hears all that is published, and remembers the last of each topic."""

    def __init__(self, server: MosquittoServer) -> None:
        self.last: dict[str, str] = {}
        self.retained: set[str] = set()  # topics that were there before us
        self.heard: list[tuple[str, str]] = []
        self._news = threading.Condition()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_message = self._hear
        self._client.connect(HOST, server.port)
        self._client.loop_start()

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, 1).wait_for_publish(PATIENCE_S)

    def wait(self, holds: Callable[[dict[str, str]], bool], why: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: holds(self.last), PATIENCE_S), f"{why}: {self.last}"

    def wait_for(self, topic: str, payload: str) -> None:
        self.wait(lambda last: last.get(topic) == payload, f"{topic} was never {payload}")

    def forget(self) -> None:
        with self._news:
            self.last.clear()
            self.heard.clear()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        with self._news:
            text = message.payload.decode()
            self.last[message.topic] = text
            self.heard.append((message.topic, text))
            if message.retain:
                self.retained.add(message.topic)
            self._news.notify_all()


@contextmanager
def assistant(server: MosquittoServer) -> Iterator[Assistant]:
    one = Assistant(server)
    try:
        yield one
    finally:
        one.close()
