"""The real legacy service, over the engine that waits: `python -m tests.chaos.legacy_side PORT ORDERS`.

`LegacySide` starts it, leaves it alone, and starts it again at the same address where a row has ended it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import uvicorn

from ai.serving.app import create_app
from ai.serving.settings import ServiceSettings
from tests.chaos.engine import SPEC, Orders, WaitingEngine
from tests.chaos.legacy_lies import Lying
from tests.services import ROOT, SHARING, Service, free_port, stop, wait_until_ready

KEEP_ALIVE_S = 20


class LegacySide:
    def __init__(self, orders: Path) -> None:
        self.port = free_port()
        self._orders = orders
        self._service: Service | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def service(self) -> Service:
        assert self._service is not None
        return self._service

    @property
    def pid(self) -> int:
        return self.service.process.pid

    def start(self) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process; a pipe nobody reads stops it
        words = sys.executable, "-m", "tests.chaos.legacy_side", str(self.port), str(self._orders)
        process = subprocess.Popen(words, cwd=ROOT, env={**SHARING, **os.environ}, stdout=log, stderr=log)
        self._service = Service("the legacy service", self.port, process, log)
        wait_until_ready(self._service)

    def stop(self) -> None:
        if self._service is not None:
            stop(self._service.process)
            self._service.log.close()
            self._service = None

    def kill(self) -> None:
        self.service.process.kill()
        self.service.process.wait()


def main(port: str, orders: str) -> None:
    settings = ServiceSettings(port=int(port), weights="none")
    told = Orders(Path(orders))
    app = Lying(create_app(SPEC, lambda: WaitingEngine(told), settings), told)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", timeout_keep_alive=KEEP_ALIVE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
