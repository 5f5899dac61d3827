"""Secrets are planted as words that nothing else says; then all is tried that could say them, and everything is read.

Cameras' addresses: tests/unit/test_footage.py, test_cameras_asking.py. The broker's: tests/unit/test_home_settings.py.
Alertmanager's receivers and the keys of a deployment: tests/unit/test_secrets_script.py, test_compose.py.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from ai.core.sample import sample_jpeg
from tests.backends import Backend
from tests.security.house import ADMIN, API_KEYS, CALLER, SECRETS, STORE, VIEWER, WRONG, House
from tests.security.lines import line_to

PLACES = ("X-API-Key", "Authorization", "Cookie", "X-Request-ID-Key")
PATHS = (
    "/", "/docs", "/openapi.json", "/console/main.js", "/api/me", "/api/traffic", "/api/rollout",
    "/api/rollout/history",
    "/api/rollout/history?format=jsonl", "/api/rollout/ramp", "/api/rollout/report", "/api/rollout/report?format=html",
    "/api/rollout/samples", "/api/rollout/samples/x.jpg", "/health/live", "/health/ready", "/metrics", "/nothing",
)  # fmt: skip


@pytest.fixture(scope="module")
def answers(house: House) -> list[str]:
    """Of all that can be asked: with each key, with none, wrongly, and while the store is away."""
    said: list[str] = []
    with httpx.Client(base_url=house.backend.url, timeout=40, trust_env=False) as client:
        for key in (ADMIN, VIEWER, CALLER, WRONG, None):
            said += map(_text, _asked(client, key))
        said += map(_text, _misplaced(client))
        house.store.hang()
        try:
            said += map(_text, _asked(client, ADMIN))
        finally:
            house.store.go_on()
    house.backend.until(lambda: _is_back(house), "the store never came back")
    said += _spoken_to_badly(house)
    return said


def _asked(client: httpx.Client, key: str | None) -> Iterator[httpx.Response]:
    headers = {} if key is None else {"X-API-Key": key}
    for path in PATHS:
        yield client.get(path, headers=headers)
    yield client.post("/api/detect", content=sample_jpeg(), headers=headers)
    yield client.post("/api/detect", content=b"none", headers=headers)
    yield client.post("/api/detect?backend=triton", content=sample_jpeg(), headers=headers)
    yield client.post("/v1/vision/detection", files={"image": sample_jpeg()}, data={"api_key": key or WRONG})
    change = {"fraction": 0.1, "reason": "a try"}
    yield client.put("/api/rollout", json=change, headers={**headers, "If-Match": "*"})
    yield client.put("/api/rollout", json={"fraction": 7}, headers={**headers, "If-Match": "*"})
    yield client.post("/api/rollout/rollback", json={"reason": "a try"}, headers=headers)
    yield client.post("/api/rollout/ramp", json={"action": "resume"}, headers=headers)
    yield client.delete("/api/rollout/ramp", headers=headers)
    yield client.delete("/api/rollout/samples?all=true", headers=headers)


def _misplaced(client: httpx.Client) -> Iterator[httpx.Response]:
    """A key where none belongs: in an address it would be in every log on the way, so ours at least keeps it out."""
    for path in ("/api/rollout", "/api/detect", "/health/live"):
        yield client.get(path, params={"key": ADMIN, "X-API-Key": ADMIN})
        for place in PLACES[1:]:
            yield client.get(path, headers={place: f"Bearer {ADMIN}"})


def _spoken_to_badly(house: House) -> list[str]:
    """What the server itself refuses, before any of our code sees it."""
    said = []
    for request in (
        b"GET /\x00 HTTP/1.1\r\nX-API-Key: %b\r\n\r\n",
        b"%b",
        b"GET / HTTP/9\r\nX-API-Key: %b\r\n\r\n",
    ):
        with line_to(house.backend.port) as line:
            line.say(request % ADMIN.encode())
            line.hang_up()
            said += [str(answer) for answer in line.answers()]
    return said


def _is_back(house: House) -> bool:
    answer = httpx.get(
        house.backend.url + "/api/rollout", headers={"X-API-Key": ADMIN}, timeout=30, trust_env=False
    )
    return answer.status_code == 200 and not answer.json()["stale"]


def _text(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.headers} {answer.text}"


def words_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_no_answer_holds_one(house: House, answers: list[str]) -> None:
    statuses = {one.split(" ", 1)[0] for one in answers}
    assert {"200", "400", "401", "403", "404", "405", "422", "503"} <= statuses, statuses
    assert words_in("\n".join(answers)) == []


def test_no_log_holds_one(house: House, answers: list[str]) -> None:
    log = house.backend.log_text() + house.legacy.log_text()
    assert "Application startup complete" in log
    assert "cannot be used" in log or "stale" in log, "the store that was away is told"
    assert words_in(log) == []


def test_no_file_holds_one(house: House, answers: list[str]) -> None:
    """History, journal, metrics of the workers, whatever else was made."""
    files = [path for path in house.backend.folder.rglob("*") if path.is_file()]
    assert any(path.name == "rollout-history.jsonl" for path in files)
    for path in files:
        assert words_in(path.read_bytes().decode(errors="replace")) == [], path


def test_nothing_in_the_store_holds_one(house: House, answers: list[str]) -> None:
    with house.store.client(password=STORE) as client:
        keys = list(client.scan_iter())
        held = b"".join(key + (client.dump(key) or b"") for key in keys)
    assert len(keys) > 1
    assert words_in(held.decode(errors="replace")) == []


def test_no_command_line_holds_one_and_no_other_user_reads_the_environment(
    house: House, answers: list[str]
) -> None:
    """What `ps` shows to everybody; the environment, in which they stand, is the user's own."""
    process = psutil.Process(house.backend.pid)
    for one in (process, *process.children(recursive=True), psutil.Process(house.legacy.process.pid)):
        assert words_in(" ".join(one.cmdline())) == []
    environ = Path(f"/proc/{house.backend.pid}/environ")
    assert ADMIN in environ.read_text()
    assert stat.S_IMODE(environ.stat().st_mode) == 0o400


COMMANDS = {
    "doctor": ("doctor", "--json"),
    "status": ("status", "--json"),
    "history": ("rollout", "history", "--json"),
    "backup": ("store", "backup", "backup.jsonl"),
    "a wrong key": ("rollout", "show", "--url", "{url}", "--key", WRONG),
    "a camera": ("cameras", "--source", f"rtspx://me:{ADMIN}@127.0.0.1/live"),
}


def test_no_command_says_one_nor_writes_one_down(house: House, answers: list[str], tmp_path: Path) -> None:
    """With all of them in its environment, as on the machine that serves."""
    with ThreadPoolExecutor(3) as pool:
        ended = dict(
            zip(
                COMMANDS, pool.map(lambda words: _run(house, tmp_path, words), COMMANDS.values()), strict=True
            )
        )
    for name, said in ended.items():
        assert said.strip(), name
        assert "Traceback" not in said, name
        assert words_in(said) == [], name
    assert "401" in ended["a wrong key"] or "not known" in ended["a wrong key"]
    assert "a try" in ended["history"]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert tmp_path / "backup.jsonl" in written
    assert [path for path in written if words_in(path.read_bytes().decode(errors="replace"))] == []


def _run(house: House, folder: Path, words: Sequence[str]) -> str:
    secrets = {"API_KEYS": API_KEYS, "ROLLOUT_STORE": house.store_url, "CROSSFADE_KEY": ADMIN}
    environment = {
        **os.environ,
        **secrets,
        "PORT": str(house.backend.port),
        "CROSSFADE_VAR": str(folder / "var"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "backend.cli", *(word.format(url=house.backend.url) for word in words)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return ended.stdout + ended.stderr


def test_the_generated_key_stands_in_one_file_which_is_its_owners(alone: Backend) -> None:
    """Without API_KEYS, and started where whatever is made may be read by all."""
    key = alone.admin["X-API-Key"].encode()
    assert alone.get("/api/rollout").status_code == 200
    holding = [path for path in alone.folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert holding == [alone.var / "admin-key"]
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600


def test_what_shows_somebodys_home_is_its_owners_too(alone: Backend) -> None:
    """The store, where pictures of mismatches lie."""
    stores = list(alone.var.glob("crossfade.db*"))
    assert alone.var / "crossfade.db" in stores
    assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in stores} == dict.fromkeys(
        (path.name for path in stores), 0
    )
