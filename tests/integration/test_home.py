"""What Home Assistant hears of a real backend through a real broker: blindness, above all, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest

from ai.core.sample import sample_jpeg
from ai.serving.app import create_app
from ai.serving.settings import ServiceSettings
from backend import cli
from backend.home.broker import Broker
from backend.home.entities import OFF, OFFLINE, ON, ONLINE, Names
from backend.home.mqtt import Line
from backend.home.publishing import Publisher
from backend.home.story import Story
from backend.home.watching import LOOK_TIMEOUT_S, Watching
from backend.stack.backend_api import BackendApi
from tests.backends import Backend, running_backend
from tests.http_servers import SPEC, serving_app
from tests.legacy_process import SlowEngine
from tests.mosquitto_server import (
    HOST,
    PASSWORD,
    Assistant,
    MosquittoServer,
    assistant,
    needs_mosquitto,
    running_mosquitto,
)
from tests.services import free_port
from tests.threads import running

pytestmark = [pytest.mark.beside, needs_mosquitto]
Command = Callable[..., tuple[int, str, str]]

NAMES = Names("homeassistant", "crossfade", 10)
DETECTOR = "yolo26"
BLIND, WHY, STATE = NAMES.blind(DETECTOR), NAMES.why_blind(DETECTOR), NAMES.state(DETECTOR)
INFERENCE_S = 0.3
EVERY_S = 0.1
IMPATIENT_S = 0.1  # Frigate's patience, where nobody has told it otherwise


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoServer]:
    with running_mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


class Legacy:
    """A side that comes and goes: the real app, at the same port each time."""

    def __init__(self) -> None:
        self.port = free_port()
        self._life = ExitStack()

    def start(self) -> None:
        settings = ServiceSettings(port=self.port, weights="none")
        app = create_app(SPEC, lambda: SlowEngine(INFERENCE_S), settings)
        self._life.enter_context(serving_app(app, self.port))

    def end(self) -> None:
        self._life.close()


@pytest.fixture(scope="module")
def legacy() -> Iterator[Legacy]:
    side = Legacy()
    side.start()
    yield side
    side.end()


@pytest.fixture(scope="module")
def backend(legacy: Legacy) -> Iterator[Backend]:
    """It asks its sides for a sign of life several times a second."""
    quick = {"PROBE_IDLE_S": "0.2", "PROBE_TIMEOUT_S": "2", "BREAKER_FAILURES": "2", "BREAKER_PROBES": "1"}
    with running_backend(legacy=f"http://{HOST}:{legacy.port}", **quick) as backend:
        yield backend


@pytest.fixture
def hears(broker: MosquittoServer) -> Iterator[Assistant]:
    with assistant(broker) as one:
        yield one


@contextmanager
def publishing(
    backend: Backend, broker: MosquittoServer, patience_s: float = LOOK_TIMEOUT_S
) -> Iterator[Publisher]:
    """What the command composes, in a thread and in a hurry."""
    watching = Watching(BackendApi(backend.url, backend.admin["X-API-Key"]), patience_s=patience_s)
    publisher = Publisher(watching.look, Story(NAMES, [DETECTOR]), NAMES, print)
    line = Line(Broker.at(broker.url, PASSWORD), NAMES, publisher.hear)
    publisher.open(line)
    with closing(line), running(lambda: publisher.run(line.send, EVERY_S), publisher.stop, 60):
        yield publisher


def reason(last: dict[str, str]) -> str:
    return json.loads(last.get(WHY, "{}")).get("reason", "")


def state(last: dict[str, str], field: str) -> Any:
    return json.loads(last.get(STATE, "{}")).get(field, "not told yet")


@pytest.fixture
def command(backend: Backend, monkeypatch, tmp_path, capsys) -> Command:
    """`crossfade mqtt`: its exit status, and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **variables: str) -> tuple[int, str, str]:
        for name, value in variables_of(backend, **variables).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            cli.main(["mqtt", "--url", backend.url, *words])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def variables_of(backend: Backend, **more: str) -> dict[str, str]:
    return {"CROSSFADE_KEY": backend.admin["X-API-Key"], "CROSSFADE_VAR": str(backend.var), **more}


def ask(backend: Backend, times: int, patience_s: float) -> int:
    """How many were answered."""
    answered = 0
    for _ in range(times):
        with suppress(httpx.TimeoutException):
            answer = httpx.post(f"{backend.url}/v1/vision/detection", files={"image": sample_jpeg()},
                                timeout=patience_s, trust_env=False)  # fmt: skip
            answered += answer.status_code == httpx.codes.OK
    return answered


def test_blind_goes_on_when_the_sides_die_and_off_when_they_return(backend, broker, hears, legacy):
    with publishing(backend, broker):
        hears.wait_for(BLIND, OFF)
        hears.wait(lambda last: state(last, "legacy") == "serves", "legacy never served")
        legacy.end()
        hears.wait_for(BLIND, ON)
        hears.wait(lambda last: "no side can serve yolo26: legacy fails" in reason(last), "it never said why")
        assert hears.last[NAMES.availability] == ONLINE
        legacy.start()
        hears.wait_for(BLIND, OFF)


def test_callers_that_leave_before_every_answer_see_nothing_and_patient_ones_do(backend, broker, hears):
    """The side is well all the while: what is blind is the camera."""
    with publishing(backend, broker):
        hears.wait_for(BLIND, OFF)
        assert ask(backend, 4, IMPATIENT_S) == 0
        hears.wait_for(BLIND, ON)
        hears.wait(lambda last: "the caller left before the answer" in reason(last), "it never said why")
        assert state(hears.last, "legacy") == "serves"
        assert ask(backend, 1, 30) == 1
        hears.wait_for(BLIND, OFF)
        hears.wait(lambda last: is_slow(state(last, "p95_ms")), "no p95 was told")


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL], ids=["stands still", "is gone"])
def test_a_backend_that_does_not_answer_is_blind_and_not_unavailable(backend, broker, hears, blow):
    with publishing(backend, broker, patience_s=0.6):
        hears.wait_for(BLIND, OFF)
        os.kill(backend.pid, blow)
        hears.wait_for(BLIND, ON)
        hears.wait(lambda last: "cannot be reached" in reason(last), "it never said why")
        hears.wait(lambda last: state(last, "ramp") is None, "a figure was made up")
        assert hears.last[NAMES.availability] == ONLINE
        if blow == signal.SIGKILL:
            backend.kill()
            backend.start()
        else:
            os.kill(backend.pid, signal.SIGCONT)
        hears.wait_for(BLIND, OFF)


def test_everything_is_introduced_anew_when_home_assistant_starts_and_is_there_after_the_brokers_restart(
    backend, broker, hears
):
    topics = {message.topic for message in NAMES.discovery(DETECTOR)}
    with publishing(backend, broker):
        hears.wait(lambda last: topics <= last.keys(), "not all entities were introduced")
        hears.forget()
        hears.publish(NAMES.birth, ONLINE)
        hears.wait(lambda last: topics <= last.keys(), "not introduced again")
        broker.restart()
        hears.forget()
        hears.wait(lambda last: {NAMES.availability, BLIND} <= last.keys(), "the publisher never came back")
    broker.restart()  # and nobody publishes any more
    with assistant(broker) as late:
        late.wait(lambda last: topics | {BLIND, WHY, STATE} <= last.keys(), "what was retained is gone")
        assert topics <= late.retained
        assert late.last[NAMES.availability] == OFFLINE


@pytest.mark.parametrize(("blow", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)])
def test_a_publisher_that_ends_is_unavailable_and_its_password_was_nowhere_to_be_seen(
    backend, broker, hears, tmp_path, blow, status
):
    (tmp_path / "password").write_text(PASSWORD + "\n")
    told = {"MQTT_BROKER": broker.url, "MQTT_PASSWORD_FILE": str(tmp_path / "password")}
    publisher = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "mqtt", "--url", backend.url, "--every", "1"], cwd=tmp_path,
        env={**os.environ, **variables_of(backend, **told)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        hears.wait_for(NAMES.availability, ONLINE)
        hears.wait(lambda last: {BLIND, STATE} <= last.keys(), "nothing was told")
        assert PASSWORD not in " ".join(psutil.Process(publisher.pid).cmdline())
        publisher.send_signal(blow)
        hears.wait_for(NAMES.availability, OFFLINE)
        assert publisher.wait(60) == status
    finally:
        publisher.kill()
        said = publisher.communicate()
    assert PASSWORD not in "".join(said)
    assert f"telling {HOST}:{broker.port} under crossfade" in said[0]


def test_once_publishes_what_json_prints_and_ends(command, broker, hears, monkeypatch):
    monkeypatch.setattr("backend.commands.mqtt.BETWEEN_S", 0.2)
    status, out, err = command("--once", "--json", "--detector", DETECTOR)
    printed = {(line := json.loads(text))["topic"]: line["payload"] for text in out.splitlines()}
    assert status == 0, err
    assert printed.keys() == {
        NAMES.availability, BLIND, WHY, STATE, *(message.topic for message in NAMES.discovery(DETECTOR)),
    }  # fmt: skip
    assert printed[STATE]["requests_per_s"] is not None
    hears.forget()
    status, _, err = command("--once", "--detector", DETECTOR, MQTT_BROKER=with_password(broker))
    assert status == 0, err
    hears.wait(lambda last: printed.keys() <= last.keys(), "not all was published")
    hears.wait_for(NAMES.availability, ONLINE)  # nobody says goodbye: it expires


def test_a_password_that_is_wrong_or_in_plain_sight_ends_the_command_in_one_sentence(command, broker):
    status, _, said = command("--once", MQTT_BROKER=with_password(broker, "another-word"))
    assert status == 1
    assert said == f"crossfade: the broker at {HOST}:{broker.port} refuses user 'crossfade': Not authorized\n"
    status, _, said = command("--once", "--broker", with_password(broker))
    assert status == 1
    assert said.count("\n") == 1
    assert "MQTT_PASSWORD_FILE" in said
    assert PASSWORD not in said


def test_a_key_that_may_not_look_ends_the_command_at_once(command):
    status, _, said = command("--once", "--json", CROSSFADE_KEY="no-such-key")
    assert "a viewer's key is needed" in said
    assert status == 4


def is_slow(p95_ms: object) -> bool:
    return isinstance(p95_ms, float) and p95_ms > 1000 * INFERENCE_S


def with_password(broker: MosquittoServer, word: str = PASSWORD) -> str:
    return broker.url.replace("@", f":{word}@")
