"""What the doctor finds, and that it says how to mend it."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from ai.triton.embedded.settings import read_settings as read_embedded
from backend import cli
from backend.doctor import command
from backend.doctor.command import examine
from backend.doctor.finding import Patient
from backend.doctor.machine import disk, ports, python
from backend.doctor.parts import embedded_triton, models
from backend.doctor.store import store
from backend.settings import read_settings
from tests.services import free_port


@pytest.fixture
def patient(monkeypatch, tmp_path):
    """A machine where nothing of ours runs, described by these variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("RTDETR_URL", "YOLO26_URL"):
        monkeypatch.setenv(name, f"http://localhost:{free_port()}")
    for name in ("TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT", "PORT"):
        monkeypatch.setenv(name, str(free_port()))
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))

    def examined(**variables: str) -> Patient:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Patient(read_settings(), read_embedded())

    return examined


def ended(*words: str) -> int:
    """How `crossfade doctor` ends."""
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", *words])
    return int(end.value.code)


def only(findings):
    (finding,) = findings
    return finding


def test_free_ports_are_well(patient):
    assert {finding.level for finding in ports(patient())} == {"OK"}


def test_a_port_that_a_stranger_holds_fails_with_his_name_and_the_variable(patient):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = [one for one in ports(patient(PORT=str(port))) if one.level == "FAIL"]
    assert f"process {os.getpid()}" in only(found).words
    assert "set PORT" in only(found).mend


def test_a_setting_that_cannot_be_is_a_finding_and_not_an_end(patient, tmp_path):
    (tmp_path / ".env").write_text("TRITON_TRAFFIC_FRACTION=2\n")
    findings = list(examine())
    assert [finding.level for finding in findings] == ["OK", "FAIL"]
    assert "TRITON_TRAFFIC_FRACTION='2'" in findings[1].words
    assert str(tmp_path / ".env") in findings[1].mend


def test_a_file_that_is_no_text_is_a_finding(patient, tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert ".env cannot be read" in list(examine())[-1].words


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 9, 1))
    assert python().level == "FAIL"


def test_a_triton_that_cannot_run_here_is_told_with_what_to_install(patient, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    finding = only(embedded_triton(patient()))
    assert finding.level == "FAIL"
    assert "pip install" in finding.words


def test_a_triton_elsewhere_needs_nothing_here(patient):
    assert "not started here" in only(embedded_triton(patient(TRITON_URL="other:8001"))).words


def test_weights_that_are_not_there_fail_and_what_is_not_built_is_a_warning(patient, tmp_path):
    rtdetr, yolo26 = models(patient(RTDETR_WEIGHTS="/nowhere.pt", TRITON_REPOSITORY=str(tmp_path / "none")))
    assert (rtdetr.level, yolo26.level) == ("FAIL", "warning")
    assert "RTDETR_WEIGHTS='/nowhere.pt': no such file" in rtdetr.words
    assert "crossfade models build yolo26" in yolo26.mend


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (["-c", "import time; time.sleep(60)"], "timed out"),
        (["-c", "print('a word of a library'); print('[]')"], "Expecting value"),
        (["-c", "import sys; sys.exit('no torch here')"], "no torch here"),
        (["-c", "pass"], "Expecting value"),
    ],
)
def test_weights_that_cannot_be_looked_at_are_a_finding_and_not_an_end(patient, monkeypatch, program, words):
    monkeypatch.setattr("backend.doctor.parts.command_of", lambda _: [sys.executable, *program])
    monkeypatch.setattr("backend.doctor.parts._LOOK_TIMEOUT_S", 1.0)
    finding = only(models(patient()))
    assert finding.level == "FAIL"
    assert words in finding.words


def test_an_address_that_is_empty_is_a_triton_that_does_not_answer_and_no_look_at_this_machine(capsys):
    assert ended("--triton", "", "--json") == 1
    assert [one["about"] for one in json.loads(capsys.readouterr().out)] == ["client", "server"]


def test_a_full_disk_fails_and_a_folder_that_is_not_there_yet_is_looked_up(patient, monkeypatch):
    asked: list[Path] = []

    def usage(folder):
        asked.append(folder)
        return type("Usage", (), {"free": 1024})

    monkeypatch.setattr("shutil.disk_usage", usage)
    finding = only(disk(patient()))
    assert finding.level == "FAIL"
    assert asked[0].exists()


def test_a_store_that_cannot_be_read_fails(patient, tmp_path):
    examined = patient()
    assert only(store(examined)).level == "OK"
    file = tmp_path / "var" / "crossfade.db"
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 100)
    assert only(store(examined)).level == "FAIL"


def test_looking_at_a_store_that_is_not_there_makes_none(patient, tmp_path):
    list(store(patient()))
    assert not (tmp_path / "var" / "crossfade.db").exists()


def test_it_ends_with_1_where_something_fails_and_tells_it_as_json(patient, monkeypatch, capsys):
    monkeypatch.setattr(command, "CHECKS", (disk,))
    patient()
    assert ended("--json") == 0
    assert {one["level"] for one in json.loads(capsys.readouterr().out)} == {"OK"}
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    assert ended() == 1
    assert "FAIL    disk" in capsys.readouterr().out
