"""The supervisor's parts that need no server: what is missing, which ports, what is written down, when to try again."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from ai.core.errors import BadSetting
from ai.triton.embedded import ports, record, wheel
from ai.triton.embedded.admin import in_words
from ai.triton.embedded.errors import CannotStart, ModelFails, PortTaken
from ai.triton.embedded.healing import Backoff, rest_s
from ai.triton.embedded.loading import Loader, model_names
from ai.triton.embedded.record import RunningTriton
from ai.triton.embedded.server_log import ServerLog, reason_in
from ai.triton.embedded.settings import read_settings
from ai.triton.embedded.wheel import Machine


class TestWheel:
    def test_its_parts_are_found_here(self, tmp_path):
        found = wheel.find(Machine.here())
        found.link_backends(tmp_path)
        assert os.access(found.tritonserver, os.X_OK)
        assert {path.name for path in (tmp_path / "python").iterdir()} >= {
            "libtriton_python.so", "triton_python_backend_stub", "triton_python_backend_utils.py",
        }  # fmt: skip
        assert all(path.resolve().exists() for path in (tmp_path / "python").iterdir())

    def test_a_link_to_an_earlier_wheel_is_replaced(self, tmp_path):
        (tmp_path / "python").mkdir()
        (tmp_path / "python" / wheel.STUB).symlink_to("/nowhere")
        wheel.find(Machine.here()).link_backends(tmp_path)
        assert (tmp_path / "python" / wheel.STUB).exists()

    def test_this_environment_comes_first_and_what_was_there_stays(self):
        found = wheel.find(Machine.here())
        environment = found.environment({"PATH": "/bin", "LD_LIBRARY_PATH": "/cuda", "HOME": "/me"})
        assert environment["PATH"] == f"{Path(sys.executable).parent}:/bin"
        assert environment["LD_LIBRARY_PATH"].endswith(":/cuda")
        assert environment["HOME"] == "/me"
        assert not found.environment({})["LD_LIBRARY_PATH"].endswith(
            ":"
        )  # which would mean: the current folder

    @pytest.mark.parametrize(
        ("other", "sentence"),
        [
            ({"system": "Darwin", "processor": "arm64"}, "runs on Linux on x86_64, this is Darwin on arm64; run a"),
            ({"processor": "aarch64"}, "this is Linux on aarch64"),
            ({"libc": ("glibc", "2.31")}, "needs glibc 2.35 or newer, this is 2.31; run a Triton in NVIDIA's"),
            ({"libc": ("", "")}, "needs glibc 2.35 or newer, this system has none"),
            ({"site": None}, "is not installed: pip install 'crossfade[embedded]'"),
            ({"python": (3, 14)}, "has no part for Python 3.14, it has for 3.8, 3.9, 3.10, 3.11, 3.12, 3.13"),
            ({"library_folders": (Path("/nowhere"),)}, "libpython3.11.so.1.0 is missing, this Python was built"),
        ],
    )  # fmt: skip
    def test_what_is_missing_is_said_in_one_sentence(self, other, sentence):
        here = replace(Machine.here(), python=(3, 11))
        with pytest.raises(CannotStart) as caught:
            wheel.find(replace(here, **other))
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_torn_installation_is_named_with_the_part_that_is_gone(self, tmp_path):
        with pytest.raises(
            CannotStart, match=rf"{tmp_path}/.*triton_python_backend_stub is missing: .*reinstall"
        ):
            wheel.find(replace(Machine.here(), site=tmp_path))

    def test_python_3_13_needs_no_library_of_the_system(self):
        found = wheel.find(replace(Machine.here(), python=(3, 13), library_folders=()))
        assert found.libraries[0].name == "nvidia_pytriton.libs"


class TestPorts:
    def test_zero_gives_free_ones_that_differ(self):
        settled = ports.settle({"http": 0, "grpc": 0, "metrics": 0})
        assert len({*settled.values()}) == 3
        assert list(settled) == ["http", "grpc", "metrics"]

    def test_the_one_that_is_taken_is_named_with_its_variable(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortTaken, match=f"port {port} is taken.*TRITON_GRPC_PORT names another"):
                ports.settle({"http": 0, "grpc": port}, patience_s=0)

    def test_one_that_is_let_go_meanwhile_is_waited_for(self):
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
            with pytest.raises(PortTaken):
                ports.settle({"http": port}, patience_s=0)
            letting_go = Timer(0.3, held.close)
            letting_go.start()
            assert ports.settle({"http": port}, patience_s=10) == {"http": port}
            letting_go.join()

    def test_one_port_for_two_services_is_refused(self):
        with pytest.raises(CannotStart, match="must differ"):
            ports.settle({"http": 8000, "grpc": 8000})


class TestLog:
    def test_it_never_takes_more_room_than_it_was_given(self, tmp_path):
        log = ServerLog(tmp_path / "log" / "triton.log", max_bytes=10_000, files=3)
        for number in range(2_000):
            log.write(f"line {number} " + "x" * 50)
        log.close()
        files = list((tmp_path / "log").iterdir())
        assert len(files) == 3
        assert all(file.stat().st_size <= 10_000 for file in files)
        assert (tmp_path / "log" / "triton.log").read_text().splitlines()[-1].startswith("line 1999 ")

    def test_what_a_stream_says_is_kept_line_by_line_however_broken(self, tmp_path):
        said = b"one\n\xff\xfe two\n" + b"x" * 100_000 + b"\nlast without an end"
        log = ServerLog(tmp_path / "triton.log", max_bytes=1_000_000, files=1)
        log.pump(io.BytesIO(said))
        log.close()
        assert log.tail(1) == ["last without an end"]
        assert log.tail(100)[:2] == ["one", "\ufffd\ufffd two"]

    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            (["I fine", '2026-11-21T03:01:12Z E 12 main.cc:245] "failed to start"', "bye"], "failed to start"),
            (["error while loading shared libraries: libz", "bye"], "error while loading shared libraries: libz"),
            (["only this"], "only this"),
            ([], "it said nothing"),
        ],
    )  # fmt: skip
    def test_an_end_is_explained_by_the_last_complaint(self, tmp_path, lines, reason):
        log = ServerLog(tmp_path / "triton.log", max_bytes=10_000, files=1)
        for line in lines:
            log.write(line)
        assert log.why_it_ended() == reason
        log.forget()
        assert log.why_it_ended() == "it said nothing"

    def test_a_configuration_that_cannot_be_read_is_explained_by_its_own_error(self):
        stamp = "2026-11-21T03:01:12Z E 1 manager.cc:1460]"
        lines = [
            '[libprotobuf ERROR x.cc:337] Error parsing text-format inference.ModelConfig: 3:8: no field "inputt".',
            f"{stamp} \"Poll failed for model directory 'typo': failed to read text proto from /r/config.pbtxt\"",
            f"{stamp} \"failed to load model 'empty': at least one version must be available\"",
        ]
        assert reason_in(lines, "typo") == (
            'failed to read text proto from /r/config.pbtxt: 3:8: no field "inputt".'
        )
        assert reason_in(lines, "empty") == "at least one version must be available"
        assert reason_in(lines, "typ") is None

    def test_a_reason_that_the_log_tells_after_the_answer_is_waited_for(self, tmp_path):
        class Refusing:
            def load(self, name, timeout_s):
                raise ModelFails(f"failed to load '{name}', failed to poll from model repository")

            def unload(self, name):
                pass

        log = ServerLog(tmp_path / "triton.log", max_bytes=10_000, files=1)
        (tmp_path / "typo").mkdir()
        line = (
            "2026-11-22T10:00:00Z E 7 model_repository.cc:9] Poll failed for model directory 'typo': no code"
        )
        told = Timer(0.2, log.write, [line])
        told.start()
        loader = Loader(Refusing(), tmp_path, log, 5.0, lambda _: None)
        assert loader.bring_all_up(["typo"]) == {"typo": "no code"}
        told.join()
        log.close()


def test_tritons_reason_is_freed_of_its_frame():
    framed = (
        "load failed for model 'bad': version 1 is at UNAVAILABLE state: Internal: ValueError: no weights here"
        "\n\nAt:\n  /r/bad/1/model.py(4): initialize\n;\n"
    )
    assert in_words(framed) == "ValueError: no weights here"
    assert in_words("Stub process 'echo_0' is not healthy.") == "Stub process 'echo_0' is not healthy."


class TestRecord:
    def test_only_its_owner_reads_it_and_it_is_true_only_while_the_server_runs(self, tmp_path):
        (tmp_path / "run").mkdir()
        stands_for = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            stands_for.stdin.write(b".")
            stands_for.stdin.flush()
            assert stands_for.stdout.read(1) == b"."  # now its command line is its own
            one = RunningTriton(stands_for.pid, os.getpid(), "h", "g", "m", "key", "/models", mark="cat")
            record.write(tmp_path, one)
            assert stat.S_IMODE((tmp_path / "run" / "triton.json").stat().st_mode) == 0o600
            assert record.running(tmp_path) == one
            record.write(tmp_path, replace(one, mark="of-another-process"))
            assert record.running(tmp_path) is None
            record.write(tmp_path, one)
        finally:
            stands_for.kill()
            stands_for.communicate()
        assert record.running(tmp_path) is None
        record.remove(tmp_path)
        assert list((tmp_path / "run").iterdir()) == []

    @pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"pid": 1}', "\x00"])
    def test_one_that_makes_no_sense_means_that_nothing_runs(self, tmp_path, content):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "triton.json").write_text(content)
        assert record.running(tmp_path) is None

    def test_a_second_server_is_kept_away(self, tmp_path):
        with (
            record.alone(tmp_path, "first-"),
            pytest.raises(CannotStart, match="another Triton already runs"),
        ):
            record.alone(tmp_path, "second-").__enter__()
        with record.alone(tmp_path, "third-") as before:
            assert before is None

    def test_the_mark_of_one_that_did_not_end_well_is_handed_on(self, tmp_path):
        with pytest.raises(KeyboardInterrupt), record.alone(tmp_path, "first-"):
            raise KeyboardInterrupt
        with record.alone(tmp_path, "second-") as before:
            assert before == "first-"


class TestWhen:
    def test_the_first_try_is_at_once_the_next_ones_wait_longer_and_longer(self):
        backoff = Backoff(first_s=1, longest_s=5)
        assert [backoff.delay_s(now) for now in (0, 0, 1, 3, 7, 12)] == [0, 1, 2, 4, 5, 5]

    def test_a_good_while_makes_it_forget_but_the_waiting_itself_is_none(self):
        backoff = Backoff(first_s=1, longest_s=40, good_while_s=60)
        waited = [backoff.delay_s(0) for _ in range(8)][-1]
        assert waited == 40
        assert backoff.delay_s(waited + 59) == 40
        assert backoff.delay_s(waited + 59 + 40 + 61) == 0

    def test_looking_takes_a_twentieth_of_the_time_and_never_more_than_5_s_pass(self):
        assert rest_s(worked_s=0.02, interval_s=2) == 2
        assert rest_s(worked_s=0.2, interval_s=2) == 4
        assert rest_s(worked_s=3, interval_s=2) == 5
        assert rest_s(worked_s=3, interval_s=10) == 10


class TestRepository:
    def test_one_that_is_not_there_or_empty_is_said_with_what_makes_it(self, tmp_path):
        with pytest.raises(
            CannotStart, match=r"there is no model repository .*`crossfade models build` makes one"
        ):
            model_names(tmp_path / "models")
        (tmp_path / "README").touch()
        (tmp_path / "warmup").mkdir()
        with pytest.raises(CannotStart, match=r"holds no models; `crossfade models build` makes them"):
            model_names(tmp_path)

    def test_a_folder_with_a_configuration_or_a_version_is_a_model(self, tmp_path):
        (tmp_path / "b" / "1").mkdir(parents=True)
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "config.pbtxt").touch()
        assert model_names(tmp_path) == ["a", "b"]


class TestSettings:
    def test_a_bad_value_names_the_variable_and_what_is_allowed(self, monkeypatch):
        monkeypatch.setenv("TRITON_HTTP_PORT", "70000")
        with pytest.raises(BadSetting, match=r"TRITON_HTTP_PORT='70000': .*65535"):
            read_settings()

    def test_an_argument_goes_before_the_environment_and_none_is_no_argument(self, monkeypatch):
        monkeypatch.setenv("TRITON_HTTP_PORT", "7000")
        assert read_settings(triton_http_port=0).triton_http_port == 0
        assert read_settings(triton_http_port=None).triton_http_port == 7000
