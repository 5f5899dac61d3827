"""The trial of an upgrade is about two versions, and not about the environment that it is called in."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from benchmarks import upgrade

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def replica(tmp_path: Path) -> upgrade.Replica:
    return upgrade.Replica("one", tmp_path, tmp_path, "memory:")


def test_what_its_caller_says_to_a_backend_is_not_said_to_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORKERS": "2", "LEGACY_ENABLED": "false", "rollout_store_file": "/x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_DIR", "/certificates")
    environment = replica(tmp_path).environment()
    assert environment["WORKERS"] == "1"
    assert not {"LEGACY_ENABLED", "rollout_store_file"} & environment.keys()
    assert environment["SSL_CERT_DIR"] == "/certificates"


def test_a_backend_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "STOP_S", 0.05)
    deaf = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    with deaf, deaf.stdout:
        deaf.stdout.readline()
        one = replica(tmp_path)
        one._process = deaf
        try:
            one.stop()
            assert deaf.returncode == -9
        finally:
            deaf.kill()


def test_a_backend_that_stops_answering_is_something_not_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ReadTimeout("timed out")

    monkeypatch.setattr(upgrade, "has", lambda revision: True)
    monkeypatch.setattr(upgrade, "two_versions", lambda *_: nullcontext((None, None)))
    monkeypatch.setattr(upgrade, "trial", refuse)
    assert upgrade.main(["--before", "HEAD"]) == 1
    assert capsys.readouterr().err == "NOT SEEN: timed out\n"
