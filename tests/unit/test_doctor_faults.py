"""Faults really made on a machine of its own: each is named, and its command mends it or names who does."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from ai.triton.embedded.settings import read_settings as read_embedded
from backend.doctor.finding import Finding, Patient
from backend.doctor.machine import disk, host, ports
from backend.doctor.parts import key
from backend.doctor.store import store
from backend.doctor.variables import variables
from backend.rollout.stores.opening import open_store
from backend.settings import read_settings
from tests.services import free_port


@pytest.fixture
def var(monkeypatch, tmp_path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("RTDETR_URL", "YOLO26_URL"):
        monkeypatch.setenv(name, f"http://localhost:{free_port()}")
    for name in ("TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT", "PORT"):
        monkeypatch.setenv(name, str(free_port()))
    monkeypatch.setenv("CROSSFADE_VAR", str(var := tmp_path / "var"))
    var.mkdir()
    return var


def patient() -> Patient:
    return Patient(read_settings(), read_embedded())


def only(findings) -> Finding:
    (finding,) = findings
    return finding


def mended(finding: Finding) -> None:
    subprocess.run(finding.mend.split(";")[0], shell=True, check=True)


@pytest.fixture
def file(var) -> Path:
    """A whole store."""
    return made(var / "crossfade.db")


def made(file: Path) -> Path:
    with closing(open_store(f"sqlite:///{file}")) as opened:
        opened.read()
    return file


class TestStore:
    def test_one_that_another_program_holds_is_not_put_aside(self, file):
        with closing(sqlite3.connect(file)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            finding = only(store(patient()))
            assert finding.level == "FAIL"
            assert finding.mend.startswith(f"fuser -v {file} ")
            assert "mv" not in finding.mend
            other.execute("ROLLBACK")
        assert only(store(patient())).level == "OK"

    def test_one_that_is_broken_is(self, file):
        file.write_bytes(b"this is no database" * 100)
        assert f"mv {file} {file}.broken" in only(store(patient())).mend

    def test_one_that_cannot_be_opened_is_looked_at(self, file):
        for path in file.parent.glob("crossfade.db*"):
            path.unlink()
        file.mkdir()
        assert only(store(patient())).mend.startswith(f"ls -ld {file} ")


class TestKey:
    def test_one_that_is_empty_or_a_folder_is_nobodys(self, var):
        file = var / "admin-key"
        file.touch(0o600)
        assert (only(key(patient())).level, "is empty" in only(key(patient())).words) == ("FAIL", True)
        file.unlink()
        file.mkdir()
        finding = only(key(patient()))
        assert "is no file" in finding.words
        assert f"mv {file} {file}.was" in finding.mend


class TestMachine:
    def test_two_parts_that_want_one_port_are_told_before_either_starts(self, var, monkeypatch):
        monkeypatch.setenv("PORT", str(read_embedded().triton_http_port))
        finding = only(one for one in ports(patient()) if one.level == "FAIL")
        assert "TRITON_HTTP_PORT and PORT both say it" in finding.words
        monkeypatch.setenv("PORT", finding.mend.split("=")[1].split(",")[0])
        assert {one.level for one in ports(patient())} == {"OK"}

    @pytest.mark.parametrize("name", ["192.0.2.1", "no-such-host.invalid"])
    def test_an_address_of_another_machine_is_none_to_listen_on(self, var, monkeypatch, name):
        monkeypatch.setenv("HOST", name)
        assert f"HOST={name} is no address of this machine" in only(host(patient())).words

    @pytest.mark.parametrize("name", ["127.0.0.1", "0.0.0.0", "localhost"])
    def test_one_of_this_machine_is_well(self, var, monkeypatch, name):
        monkeypatch.setenv("HOST", name)
        assert list(host(patient())) == []

    def test_a_file_where_the_folder_should_be_is_moved_away(self, var):
        var.rmdir()
        var.touch()
        finding = only(disk(patient()))
        assert (finding.level, "is a file" in finding.words) == ("FAIL", True)
        mended(finding)
        assert only(disk(patient())).level != "FAIL"

    def test_the_folder_that_is_named_to_look_into_is_there(self, var, monkeypatch):
        monkeypatch.setenv("CROSSFADE_VAR", str(var / "not" / "yet"))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
        assert f"du -sh {var}/* " in only(disk(patient())).mend


@pytest.mark.parametrize(
    "line", ["TRITON_ENABELD=false", "export TRITON_ENABELD=false", "  TRITON_ENABELD = false"]
)
def test_a_misspelt_variable_is_mended_however_its_line_is_written(var, tmp_path, line):
    (tmp_path / ".env").write_text(f"# TRITON_ENABELD\n{line}\n")
    mended(only(variables(patient())))
    assert (tmp_path / ".env").read_text() == f"# TRITON_ENABELD\n{line.replace('ENABELD', 'ENABLED')}\n"
    assert list(variables(patient())) == []
    assert read_settings().model_fields_set >= {"triton_enabled"}
