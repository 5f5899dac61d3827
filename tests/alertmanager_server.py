"""A real Alertmanager with a shortened copy of our configuration, and the real receiver that it sends to."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus_server import MONITORING
from tests.shortened_rules import shorter
from tests.started_server import StartedServer

SECRETS = "/etc/alertmanager/secrets/"
RECEIVERS = ("page", "ticket", "info", "heartbeat")
WAITS = ("group_wait", "group_interval")  # repeat_interval stays: a second message would be a second page …
REPEATED = "heartbeat"  # … but for this one

needs_alertmanager = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None or shutil.which("amtool") is None,
    reason="there is no alertmanager here (Debian: apt-get install prometheus-alertmanager)",
)


@dataclass(frozen=True)
class Message:
    receiver: str
    title: str  # FIRING page: TritonDown
    text: str
    link: str
    at: float  # unix time

    @property
    def is_firing(self) -> bool:
        return self.title.startswith("FIRING")

    @property
    def alert(self) -> str:
        return self.title.rpartition(": ")[2]


@dataclass
class Receiver:
    """What answers `ok`, as a chat does, and keeps what it was told."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    status: int = 200

    @contextmanager
    def away(self) -> Iterator[None]:
        """As a chat says it of an address that it has revoked."""
        self.status = 404
        try:
            yield
        finally:
            self.status = 200

    def of(self, receiver: str, since: float = 0.0) -> list[Message]:
        return [one for one in self.messages if one.receiver == receiver and one.at >= since]

    def take(self, path: str, body: dict[str, Any]) -> None:
        said = body["attachments"][0]
        title, link = said.get("title", ""), said.get("title_link", "")
        self.messages.append(Message(path.strip("/"), title, said.get("text", ""), link, time.time()))


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            if receiver.status == 200:
                receiver.take(self.path, body)
            self.send_response(receiver.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


class AlertmanagerServer(StartedServer):
    def __init__(self, folder: Path, receiver: Receiver, factor: float) -> None:
        super().__init__(folder, "prometheus-alertmanager")
        self._file = folder / "alertmanager.yml"
        self._file.write_text(copied(folder, factor))
        for name in RECEIVERS:
            (folder / f"{name}_url").write_text(f"{receiver.url}/{name}\n")

    def words(self) -> list[str]:
        return [
            f"--config.file={self._file}", f"--web.listen-address={self.address}",
            f"--storage.path={self._folder / 'data'}", "--cluster.listen-address=", "--log.level=warn",
        ]  # fmt: skip

    def inhibited(self) -> set[str]:
        """The names of the alerts that it was told of and keeps to itself because of another one."""
        asked = {"active": "true", "inhibited": "true"}
        alerts = self._client.get("/api/v2/alerts", params=asked).json()
        return {one["labels"]["alertname"] for one in alerts if one["status"]["inhibitedBy"]}


def copied(folder: Path, factor: float) -> str:
    """Our configuration with its waits divided, and its secrets in this folder."""
    ours = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    for route in (ours["route"], *ours["route"]["routes"]):
        repeated = {"repeat_interval"} if route["receiver"] == REPEATED else set()
        for name in route.keys() & {*WAITS, *repeated}:
            route[name] = shorter(route[name], factor, least_s=0.1)
    return re.sub(re.escape(SECRETS), f"{folder}/", yaml.safe_dump(ours, sort_keys=False))
