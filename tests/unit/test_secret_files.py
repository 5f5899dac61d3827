"""Secrets from files, as containers mount them: what is missing stops the start, and is never taken for "none"."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ai.core.errors import BadSetting
from backend.settings import read_settings

KEYS = "ops:admin:a-long-key"
AS_NOBODY = """
import os, sys
from ai.core.errors import BadSetting
from backend.settings import read_settings
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setuid(10001)
try:
    read_settings()
except BadSetting as error:
    print(error)
"""
STORE = "redis://crossfade:a-password@redis:6379/0"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a secret into a file and names the file in the variable."""
    monkeypatch.chdir(tmp_path)  # no .env here
    for name in ("API_KEYS", "ROLLOUT_STORE"):
        monkeypatch.delenv(name, raising=False)

    def put(name: str, content: str | None) -> Path:
        path = tmp_path / name.lower()
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv(f"{name}_FILE", str(path))
        return path

    return put


def test_a_secret_is_read_out_of_the_file_that_its_variable_names(secret):
    secret("API_KEYS", f"{KEYS}\n")
    secret("ROLLOUT_STORE", f"{STORE}\n")
    settings = read_settings()
    assert (settings.api_keys, settings.store_url) == (KEYS, STORE)


def test_the_variable_may_stand_in_the_env_file_as_well(tmp_path, monkeypatch, secret):
    path = secret("API_KEYS", KEYS)
    monkeypatch.delenv("API_KEYS_FILE")
    (tmp_path / ".env").write_text(f"API_KEYS_FILE={path}\n")
    assert read_settings().api_keys == KEYS


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "cannot be read: No such file"), (" \n", "the file is empty")]
)
@pytest.mark.parametrize("name", ["API_KEYS", "ROLLOUT_STORE"])
def test_a_secret_that_is_not_there_stops_the_start_and_is_never_read_as_none(
    secret, name, content, sentence
):
    path = secret(name, content)
    with pytest.raises(BadSetting, match=f"^{name}_FILE='{path}': {sentence}"):
        read_settings()


def test_an_env_file_that_may_not_be_read_stops_the_start_in_a_sentence(tmp_path):
    """As another user than the one that wrote it; the keys that may stand there are never taken for "none"."""
    (tmp_path / ".env").write_text(f"API_KEYS={KEYS}\n")
    (tmp_path / ".env").chmod(0)
    tmp_path.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.stdout == ".env cannot be read: Permission denied\n", ended.stderr


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("name", ["API_KEYS", "ROLLOUT_STORE"])
def test_a_variable_that_names_no_file_stops_the_start_too(secret, monkeypatch, name, empty):
    monkeypatch.setenv(f"{name}_FILE", empty)
    with pytest.raises(BadSetting, match=f"^{name}_FILE is empty"):
        read_settings()


def test_a_secret_said_twice_stops_the_start(secret, monkeypatch):
    secret("API_KEYS", KEYS)
    monkeypatch.setenv("API_KEYS", "other:admin:key")
    with pytest.raises(BadSetting, match="API_KEYS and API_KEYS_FILE are both set"):
        read_settings()


def test_what_a_file_holds_is_checked_like_the_variable_and_shows_no_password(secret):
    path = secret("ROLLOUT_STORE", "mysql://crossfade:a-password@db/0")
    with pytest.raises(
        BadSetting, match=f"^ROLLOUT_STORE_FILE='{path}': .*must be sqlite:///PATH"
    ) as refused:
        read_settings()
    assert "a-password" not in str(refused.value)


def test_a_file_that_holds_the_bare_password_shows_none_either(secret):
    secret("ROLLOUT_STORE", "a-password")
    with pytest.raises(BadSetting, match="must be sqlite:///PATH") as refused:
        read_settings()
    assert "a-password" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("redis://:a-password", "redis:…"),
        ("rediss://:a-password", "rediss:…"),
        ("redis://u:a-password@h:0", "redis:…"),
        ("a-password@h", "…"),
        ("a-password@h:6379", "…"),
        (":a-password", ":…"),
        ("sqlite:/var/x.db", "sqlite:/var/x.db"),
        ("/var/x.db", "/var/x.db"),
    ],
)
def test_a_store_that_cannot_be_is_shown_without_what_may_be_its_password(secret, monkeypatch, said, shown):
    monkeypatch.setenv("ROLLOUT_STORE", said)
    with pytest.raises(BadSetting) as refused:
        read_settings()
    assert str(refused.value).startswith(f"ROLLOUT_STORE={shown!r}: must be sqlite:///PATH")
