"""What a start says of bad settings, and what can be printed of good ones, holds no secret."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from ai.core.errors import BadSetting
from ai.serving.settings import read_settings as read_service_settings
from backend.api.keys import Keys
from backend.main import require_startable
from backend.settings import Settings, read_settings
from tests.security.house import ADMIN, API_KEYS, STORE

REDIS = f"redis://:{STORE}@127.0.0.1:1/0"
GOOD = {"API_KEYS": API_KEYS, "ROLLOUT_STORE": REDIS}
BAD = {
    "another setting": {**GOOD, "PORT": "no number"},
    "settings that contradict each other": {**GOOD, "LEGACY_ENABLED": "false", "FALLBACK": "legacy"},
    "a store that is none": {"ROLLOUT_STORE": f"rediss//:{STORE}@somewhere"},
    "a store's database": {"ROLLOUT_STORE": f"{REDIS}x"},
    "keys without roles": {"API_KEYS": ADMIN},
    "keys as the name of a file": {"API_KEYS_FILE": f"ops:admin:{ADMIN}"},
    "a key as the name of a file": {"API_KEYS_FILE": ADMIN},
    "a store as the name of a file": {"ROLLOUT_STORE_FILE": REDIS},
    "keys in two places": {"API_KEYS": API_KEYS, "API_KEYS_FILE": "/dev/null"},
    "a password in legacy's address": {"RTDETR_URL": f"http://ops:{ADMIN}@127.0.0.1:8090"},
    "… with a bad port": {"RTDETR_URL": f"http://ops:{ADMIN}@127.0.0.1:many"},
    "… of a bad kind": {"YOLO26_URL": f"ftp://ops:{ADMIN}@127.0.0.1"},
    "… with a / in it": {"YOLO26_URL": f"http://ops:/{ADMIN}@127.0.0.1"},
    "a password in Triton's address": {"TRITON_URL": f"ops:{ADMIN}@127.0.0.1:8001"},
    "a token in Triton's address": {"TRITON_HTTP_URL": f"{ADMIN}@127.0.0.1:8000"},
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)  # no .env here
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_setting_is_refused_and_no_secret_is_said(environment, kind: str) -> None:
    """Neither in the line, nor in the traceback that a worker would leave which reads them again."""
    for name, value in BAD[kind].items():
        environment.setenv(name, value)
    with pytest.raises(BadSetting) as refused:
        require_startable(read_settings())
    said = "".join(traceback.format_exception(refused.value))
    assert STORE not in said
    assert ADMIN not in said
    assert len(str(refused.value)) > 20


def test_the_line_still_names_the_variable_and_what_is_left_of_its_value(environment) -> None:
    environment.setenv("RTDETR_URL", f"http://ops:{ADMIN}@127.0.0.1:many")
    with pytest.raises(BadSetting, match=r"^RTDETR_URL='http://…@127\.0\.0\.1:many': "):
        read_settings()
    environment.setenv("RTDETR_URL", "ftp://elsewhere")
    with pytest.raises(BadSetting, match=r"^RTDETR_URL='ftp://elsewhere': "):
        read_settings()


def test_a_services_settings_are_as_silent(environment) -> None:
    environment.setenv("YOLO26_DEVICE", f"https://me:{ADMIN}@weights.example/x.pt")
    with pytest.raises(BadSetting) as refused:
        read_service_settings("YOLO26_", 8095)
    assert ADMIN not in "".join(traceback.format_exception(refused.value))


def test_settings_and_keys_that_are_printed_show_none(environment) -> None:
    for name, value in GOOD.items():
        environment.setenv(name, value)
    settings = read_settings()
    keys = Keys.of(settings)
    shown = f"{settings!r} {settings} {keys!r} {keys}"
    assert settings.api_keys == API_KEYS
    assert "zq7word" not in shown
    assert all(str(key.digest) not in shown for key in keys.known)  # of a short key it gives the key away


def test_a_worker_that_reads_bad_settings_later_says_no_secret(environment, tmp_path) -> None:
    """As uvicorn calls it in a new process, after `.env` became a bad one."""
    (tmp_path / ".env").write_text(
        f"API_KEYS={API_KEYS}\nROLLOUT_STORE={REDIS}\nLEGACY_ENABLED=false\nFALLBACK=legacy\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", "from backend.main import app; app()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "FALLBACK=legacy" in ended.stderr
    assert "zq7word" not in ended.stderr
