"""The supervisor and the real tritonserver: what serves, what is healed, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from ai.triton import server
from ai.triton.embedded import ports, record
from ai.triton.embedded.errors import CannotStart, PortTaken
from ai.triton.embedded.launch import wait_until_it_listens
from ai.triton.embedded.process import TritonProcess, command_of, listening, marked, sweep
from ai.triton.embedded.record import RunningTriton
from ai.triton.embedded.server_log import ServerLog
from ai.triton.embedded.settings import EmbeddedSettings
from ai.triton.server import TritonServer
from tests.tritons import plan_in, python_model

pytestmark = pytest.mark.beside

STUB = "triton_python_backend_stub"
# Half the time of a start, and most of that of an end; TestCommand goes without.
QUICKLY = ("--disable-auto-complete-config", "--exit-timeout-secs=1")

ECHO = """
import time
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        self.version = int(args["model_version"])
        print("a model's own words", flush=True)

    def execute(self, requests):
        return [self.answer(pb.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def answer(self, x):
        time.sleep(float(x.max()))
        return pb.InferenceResponse([pb.Tensor("y", np.full_like(x, self.version))])
"""
ECHO_CONFIG = """
    max_batch_size: 1
    input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
    output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
    dynamic_batching {
      default_queue_policy { max_queue_size: 4 timeout_action: REJECT default_timeout_microseconds: 5000000 }
    }
"""

PICKY = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        pictures = [pb.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        if any(picture.tobytes()[:2] != b"\\xff\\xd8" for picture in pictures):
            raise ValueError("no JPEG")
        return [pb.InferenceResponse([pb.Tensor("size", np.array([[p.size]], np.int32))]) for p in pictures]
"""
PICKY_CONFIG = """
    max_batch_size: 4
    input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1 ] allow_ragged_batch: true } ]
    output [ { name: "size" data_type: TYPE_INT32 dims: [ 1 ] } ]
    dynamic_batching {}
"""

DOES_NOT_LOAD = """
class TritonPythonModel:
    def initialize(self, args):
        raise ValueError("the weights are torn")
"""
DOES_NOT_ANSWER = """
class TritonPythonModel:
    def execute(self, requests):
        raise RuntimeError("no such operator")
"""
LOADS_FOR_EVER = """
import time
class TritonPythonModel:
    def initialize(self, args):
        time.sleep(3600)
"""


@dataclass
class Stage:
    """A repository and a var of a test's own, and what the supervisor told."""

    folder: Path
    told: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # marks of servers that may have left something

    @property
    def repository(self) -> Path:
        return self.folder / "models"

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def log(self) -> str:
        return (self.var / "log" / "triton.log").read_text()

    def settings(self, **others) -> EmbeddedSettings:
        chosen = {"triton_probe_interval_s": 0.5, "triton_probe_timeout_s": 1.0, **others}
        return EmbeddedSettings(
            crossfade_var=self.var, triton_repository=self.repository,
            triton_http_port=0, triton_grpc_port=0, triton_metrics_port=0, **chosen,
        )  # fmt: skip

    @contextmanager
    def server(self, **others) -> Iterator[TritonServer]:
        """Nothing of it is left when the block ends: that is looked at every time."""
        with TritonServer(self.settings(**others), self.told.append, QUICKLY) as running:
            yield running
            was = running.running
        assert_nothing_left(was)

    def tells(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in self.told)


@pytest.fixture
def stage(tmp_path) -> Iterator[Stage]:
    one = Stage(tmp_path)
    yield one
    for mark in one.left:
        sweep(mark)


def echo(stage: Stage, version: int = 1, code: str = ECHO) -> None:
    python_model(stage.repository, "echo", code, ECHO_CONFIG, version)


def ask(running: RunningTriton, value: float = 0.0, timeout_s: float = 10, model: str = "echo") -> int:
    """The version that answered; `value` is how long it takes."""
    x = InferInput("x", [1, 1], "FP32")
    x.set_data_from_numpy(np.full((1, 1), value, np.float32))
    with InferenceServerClient(running.grpc_url) as client:
        return int(client.infer(model, [x], client_timeout=timeout_s).as_numpy("y")[0, 0])


def answers(running: RunningTriton) -> bool:
    try:
        return bool(ask(running))
    except InferenceServerException:
        return False


def until(condition: Callable[[], object], timeout_s: float = 20) -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "it never came to pass"
        time.sleep(0.02)
    return time.monotonic() - began


def stubs(running: RunningTriton) -> list[int]:
    return marked(running.mark, STUB)


def shared_memory(mark: str) -> list[str]:
    return [path.name for path in Path("/dev/shm").glob(f"{mark}*")]


def is_free(address: str) -> bool:
    port = int(address.rsplit(":", 1)[1].partition("/")[0])
    with suppress(PortTaken):
        return bool(ports.settle({"http": port}, patience_s=0))
    return False


def assert_nothing_left(was: RunningTriton) -> None:
    assert marked(was.mark) == []
    assert shared_memory(was.mark) == []
    assert all(is_free(address) for address in (was.http_url, was.grpc_url, was.metrics_url))


def test_it_serves_on_loopback_what_answers_and_says_what_fails(stage):
    echo(stage)
    python_model(stage.repository, "camera_jpeg", PICKY, PICKY_CONFIG)
    python_model(stage.repository, "torn", DOES_NOT_LOAD, ECHO_CONFIG)
    python_model(stage.repository, "mute", DOES_NOT_ANSWER, ECHO_CONFIG)
    python_model(stage.repository, "typo", ECHO, "inputt []")
    python_model(stage.repository, "half", ECHO, ECHO_CONFIG)
    (stage.repository / "half" / "1" / "model.py").unlink()
    with stage.server() as triton:
        running = triton.running
        assert ask(running) == 1
        assert triton.failed.keys() == {"torn", "mute", "typo", "half"}
        assert triton.failed["torn"] == "ValueError: the weights are torn"
        assert "no such operator" in triton.failed["mute"]
        assert 'has no field named "inputt"' in triton.failed["typo"]
        assert triton.failed["half"] == "version 1 holds no model.py"
        assert ready_models(running) == {"echo", "camera_jpeg"}
        assert stage.tells(r"^echo: loading version 1$")
        assert stage.tells(r"^echo: loaded in \d+\.\d s$")
        assert stage.tells(r"^torn fails: ValueError: the weights are torn$")
        assert stage.tells(rf"^Triton serves camera_jpeg, echo: gRPC {running.grpc_url}, ")
        assert_on_loopback_and_restricted(running)
        assert "nv_inference_request_summary_us" in httpx.get(running.metrics_url, trust_env=False).text
        assert "a model's own words" in stage.log
        assert running.admin_key not in stage.log + command_of(running.pid)
        assert record.running(stage.var) == running
    assert not (stage.var / "run" / "triton.json").exists()


def ready_models(running: RunningTriton) -> set[str]:
    url = f"http://{running.http_url}/v2/repository/index"
    index = httpx.post(url, headers=running.http_admin, trust_env=False).json()
    return {model["name"] for model in index if model.get("state") == "READY"}


def assert_on_loopback_and_restricted(running: RunningTriton) -> None:
    addresses = listening(running.pid)
    assert len(addresses) == 3
    assert {*addresses.values()} <= {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, in two ways
    assert httpx.post(f"http://{running.http_url}/v2/repository/index", trust_env=False).status_code == 403
    with InferenceServerClient(running.grpc_url) as client:
        for forbidden in (client.get_model_repository_index, client.get_system_shared_memory_status,
                          client.get_log_settings, client.get_trace_settings):  # fmt: skip
            with pytest.raises(InferenceServerException, match="restricted"):
                forbidden()
        assert client.get_model_repository_index(headers=running.grpc_admin).models


def test_a_dead_stub_and_a_bad_version_are_healed_within_15_s_and_after_a_restart_the_old_version_serves(
    stage,
):
    echo(stage)
    with stage.server() as triton:
        running = triton.running
        echo(stage, version=2, code=DOES_NOT_LOAD)
        [stub] = stubs(running)
        os.kill(stub, signal.SIGKILL)
        with pytest.raises(InferenceServerException, match="not healthy"):
            ask(running)
        assert until(lambda: answers(running), timeout_s=15) < 15
        assert ask(running) == 1
        assert stage.tells(r"^echo is ill \(a process of it has ended.*\); it is loaded again$")
        assert stage.tells(
            r"^echo: version 2 fails \(ValueError: the weights are torn\).* failed-2-1; version 1 serves"
        )
        assert triton.running == running  # the server itself went on
    with stage.server() as triton:
        assert ask(triton.running) == 1


def test_one_dead_process_of_several_is_noticed_while_the_others_answer(stage):
    python_model(
        stage.repository, "echo", ECHO, ECHO_CONFIG + "instance_group [ { count: 2 kind: KIND_CPU } ]"
    )
    with stage.server() as triton:
        running = triton.running
        before = stubs(running)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        until(lambda: stage.tells(r"^echo is ill \(a process of it has ended"))
        until(lambda: stage.tells(r"^echo serves again after"))
        assert len(stubs(running)) == 2
        assert set(stubs(running)).isdisjoint(before)


def test_a_bad_version_at_the_start_makes_way_and_one_that_loads_but_does_not_answer_too(stage):
    echo(stage)
    echo(stage, version=2, code=DOES_NOT_ANSWER)
    echo(stage, version=3, code=DOES_NOT_LOAD)
    with stage.server() as triton:
        assert triton.failed == {}
        assert ask(triton.running) == 1
    assert {path.name for path in (stage.repository / "echo").iterdir()} == {
        "1", "config.pbtxt", "failed-2-1", "failed-3-1",
    }  # fmt: skip


def test_when_no_version_serves_none_is_to_blame_and_nothing_starts(stage):
    echo(stage, code=DOES_NOT_LOAD)
    echo(stage, version=2, code=DOES_NOT_ANSWER)
    with pytest.raises(CannotStart, match=r"^no model can serve\. echo: .*no such operator"), stage.server():
        pass
    assert {path.name for path in (stage.repository / "echo").iterdir()} == {"1", "2", "config.pbtxt"}
    assert record.running(stage.var) is None


def test_a_model_that_loads_for_ever_holds_up_no_other(stage):
    echo(stage)
    python_model(stage.repository, "endless", LOADS_FOR_EVER, ECHO_CONFIG)
    with stage.server(triton_start_timeout_s=5) as triton:
        assert triton.failed == {"endless": "it did not load within 5 s"}
        assert ask(triton.running) == 1


def test_a_full_queue_and_a_slow_model_are_left_in_peace_and_one_that_hangs_is_not(stage):
    echo(stage)
    with stage.server(triton_hang_after_s=3) as triton:
        running = triton.running
        before = stubs(running)
        refusals = overload(running, seconds=4)
        assert any("Exceeds maximum queue size" in text for text in refusals), set(refusals)
        assert not stage.tells("is ill")
        assert stubs(running) == before
        until(lambda: answers(running), timeout_s=15)  # its queue is empty, so the next one is begun
        with pytest.raises(InferenceServerException):
            ask(running, value=3600, timeout_s=0.5)
        until(lambda: stage.tells(r"^echo is ill \(has finished nothing for 3 s\)"), timeout_s=12)
        until(lambda: answers(running), timeout_s=15)
        assert set(stubs(running)).isdisjoint(before)


def overload(running: RunningTriton, seconds: float) -> list[str]:
    """Twelve callers for one model that takes 0.2 s a call and queues four: what they were refused with."""
    ends_at = time.monotonic() + seconds
    refusals: list[str] = []

    def call() -> None:
        while time.monotonic() < ends_at:
            try:
                ask(running, value=0.2)
            except InferenceServerException as error:
                refusals.append(error.message())

    with ThreadPoolExecutor(12) as pool:
        for caller in [pool.submit(call) for _ in range(12)]:
            caller.result()
    return refusals


def test_a_killed_server_is_started_again_where_it_was(stage):
    echo(stage)
    with stage.server() as triton:
        before = triton.running
        os.kill(before.pid, signal.SIGKILL)
        until(
            lambda: stage.tells(
                r"^tritonserver was ended by SIGKILL \(its last words: .*it is started again$"
            )
        )
        until(lambda: answers(before))
        until(lambda: record.running(stage.var))
        after = record.running(stage.var)
        assert after.pid != before.pid
        assert replace(after, pid=before.pid) == before
        assert len(stubs(after)) == 1


def test_a_model_that_cannot_be_loaded_again_is_tried_with_a_new_server_and_then_by_itself(stage):
    echo(stage)
    python_model(stage.repository, "camera_jpeg", PICKY, PICKY_CONFIG)
    with stage.server() as triton:
        first = triton.running
        echo(stage, code=DOES_NOT_LOAD)
        os.kill(marked(first.mark, STUB, "/echo/")[0], signal.SIGKILL)
        until(
            lambda: stage.tells(r"is started again because echo fails \(ValueError: the weights are torn\)")
        )
        until(lambda: record.running(stage.var) not in {first, None})
        assert triton.failed == {"echo": "ValueError: the weights are torn"}
        echo(stage)
        until(lambda: answers(first), timeout_s=30)
        until(lambda: stage.tells(r"^echo serves again after"))


def test_a_port_that_went_to_another_meanwhile_is_replaced_by_a_free_one(stage, monkeypatch):
    echo(stage)
    with ExitStack() as held:
        taken = []

        def settle_and_lose(asked):
            settled = ports.settle(asked)
            if not taken:
                taken.append(settled["http"])
                held.enter_context(socket.create_server(("127.0.0.1", settled["http"])))
            return settled

        monkeypatch.setattr(server, "settle", settle_and_lose)
        with stage.server() as triton:
            assert taken
            assert not triton.running.http_url.endswith(f":{taken[0]}")
            assert ask(triton.running) == 1


@pytest.mark.parametrize(("name", "says"), [("grpc", "GRPC"), ("http", "HTTP"), ("metrics", "Metrics")])
def test_tritons_own_words_for_a_taken_port_are_understood(tmp_path, name, says):
    (tmp_path / "models").mkdir()
    plan = plan_in(tmp_path, tmp_path / "models")
    log = ServerLog(tmp_path / "triton.log", max_bytes=1_000_000, files=1)
    with socket.create_server(("127.0.0.1", plan.ports[name])):
        process = TritonProcess(plan.command, plan.wheel.environment(os.environ), log.pump)
        try:
            with pytest.raises(
                PortTaken, match=f"port {plan.ports[name]} is taken, so Triton's {says} service"
            ):
                wait_until_it_listens(process, plan, log, stopping=lambda: False)
        finally:
            process.end(plan.mark)
            log.close()


def test_a_second_server_with_the_same_var_and_a_taken_port_are_refused_in_a_sentence(stage):
    echo(stage)
    with stage.server() as triton:
        with pytest.raises(CannotStart, match="another Triton already runs"):
            TritonServer(stage.settings()).start()
        port = int(triton.running.http_url.rsplit(":", 1)[1])
        elsewhere = stage.settings().model_copy(
            update={"crossfade_var": stage.folder / "other", "triton_http_port": port}
        )
        with pytest.raises(CannotStart, match=f"port {port} is taken.*TRITON_HTTP_PORT names another"):
            TritonServer(elsewhere).start()
        assert ask(triton.running) == 1


class TestCommand:
    """`python -m ai.triton.server`, as a user or `crossfade up` runs it."""

    @staticmethod
    @contextmanager
    def started(stage: Stage) -> Iterator[subprocess.Popen[str]]:
        options = ["--repository", stage.repository, "--var", stage.var]
        options += [f"--{name}-port=0" for name in ("http", "grpc", "metrics")]
        process = subprocess.Popen(
            [sys.executable, "-m", "ai.triton.server", *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if mark := TestCommand.mark(stage):
                stage.left.append(mark)

    @staticmethod
    def mark(stage: Stage) -> str:
        """Of a server that has not ended well; empty otherwise."""
        with suppress(FileNotFoundError):
            return (stage.var / "run" / "triton.lock").read_text()
        return ""

    @staticmethod
    def ready(stage: Stage) -> RunningTriton:
        until(lambda: record.running(stage.var))
        return record.running(stage.var)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_with_everything_it_started(self, stage, number):
        echo(stage)
        with self.started(stage) as process:
            running = self.ready(stage)
            assert ask(running) == 1
            process.send_signal(number)
            process.send_signal(number)  # an impatient user disturbs nothing
            said, _ = process.communicate(timeout=20)
        assert process.returncode == 0, said
        assert_nothing_left(running)
        assert not (stage.var / "run" / "triton.json").exists()
        assert "Traceback" not in said

    def test_a_signal_while_a_model_still_loads_ends_it_as_well(self, stage):
        python_model(stage.repository, "endless", LOADS_FOR_EVER, ECHO_CONFIG)
        with self.started(stage) as process:
            until(lambda: marked(str(stage.repository), STUB))
            mark = self.mark(stage)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=20)
        assert process.returncode == 0, said
        assert (marked(mark), shared_memory(mark)) == ([], [])

    def test_killed_with_9_it_takes_its_server_along_and_the_next_start_sweeps_up(self, stage):
        echo(stage)
        with self.started(stage) as process:
            running = self.ready(stage)
            os.kill(
                stubs(running)[0], signal.SIGSTOP
            )  # one that hangs does not notice that its server is gone
            process.kill()
            process.wait()
        until(lambda: not command_of(running.pid), timeout_s=3)
        assert stubs(running)
        assert shared_memory(running.mark)
        with stage.server() as triton:
            assert_nothing_left(running)
            assert ask(triton.running) == 1

    def test_what_is_missing_is_its_last_line(self, stage):
        with self.started(stage) as process:
            said, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert (
            said == f"there is no model repository {stage.repository}; `crossfade models build` makes one\n"
        )
