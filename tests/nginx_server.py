"""A real nginx with the configuration of the deployment, filled in as its image does it, on free ports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services import ROOT, free_port

FOLDER = ROOT / "deploy" / "docker" / "proxy"
TEMPLATE = FOLDER / "nginx.conf.template"
PATIENCE_S = 20.0
HOST = "127.0.0.1"

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="there is no nginx or no openssl here (Debian: apt-get install nginx-light openssl)",
)


class NginxServer:
    """Before these backends, each host:port."""

    def __init__(self, folder: Path, backends: Sequence[str]) -> None:
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self._certificate, self._key = _certificate(folder)
        self._process: subprocess.Popen[bytes] | None = None
        parameters = re.findall(r" resolve (.*;)", defaults()["PROXY_BACKENDS"])[0]
        self.words = defaults() | {
            "PROXY_TLS_LISTEN": f"{HOST}:{self.port}",
            "PROXY_PLAIN_LISTEN": f"{HOST}:{self.plain_port}",
            "PROXY_BACKENDS": " ".join(f"server {address} {parameters}" for address in backends),
            "PROXY_CERTIFICATE": str(self._certificate),
            "PROXY_CERTIFICATE_KEY": str(self._key),
            "PROXY_TMP": str(folder),
        }

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def plain_url(self) -> str:
        return f"http://{HOST}:{self.plain_port}"

    @property
    def tls(self) -> ssl.SSLContext:
        """For callers that trust this certificate and no other."""
        return ssl.create_default_context(cafile=str(self._certificate))

    @property
    def configuration(self) -> Path:
        path = self.folder / "nginx.conf"
        path.write_text(filled_in(TEMPLATE.read_text(), self.words))
        return path

    def command(self, *more: str) -> list[str]:
        """As root, it would go on as a user who may not enter the tests' folders."""
        user = "user root;" if os.getuid() == 0 else ""
        return ["nginx", "-c", str(self.configuration), "-g", f"daemon off;{user}", *more]

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.tls, timeout=30, trust_env=False, **more)

    def lines(self) -> list[dict[str, Any]]:
        """What it wrote of each request."""
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]

    def start(self) -> None:
        with (self.folder / "access.log").open("ab") as out, (self.folder / "error.log").open("ab") as errors:
            self._process = subprocess.Popen(self.command(), stdout=out, stderr=errors)
        ends_at = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, self.error_log()
            assert time.monotonic() < ends_at, "nginx does not answer"
            time.sleep(0.01)

    def error_log(self) -> str:
        return (self.folder / "error.log").read_text(errors="replace")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(PATIENCE_S)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.plain_url + "/proxy/alive", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running_nginx(folder: Path, backends: Sequence[str]) -> Iterator[NginxServer]:
    folder.mkdir(parents=True, exist_ok=True)
    server = NginxServer(folder, backends)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def defaults() -> dict[str, str]:
    """What the image says where nobody says otherwise."""
    said = re.findall(r'\b(PROXY_\w+)=("[^"]*"|\S+)', (FOLDER / "Dockerfile").read_text())
    return {name: word.strip('"') for name, word in said}


def filled_in(template: str, words: dict[str, str]) -> str:
    """As envsubst with the image's filter: a name that nobody defined stays, and nginx refuses it."""
    return re.sub(r"\$\{(\w+)\}", lambda found: words.get(found[1], found[0]), template)


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
