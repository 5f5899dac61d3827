"""What the doctor finds on a machine and in an installation; for whatever is wrong there is a command that mends it."""

from __future__ import annotations

import stat
import subprocess

import pytest

from ai.triton.embedded.settings import read_settings as read_embedded
from backend.doctor import command, machine, packages
from backend.doctor.finding import Finding, Patient
from backend.doctor.machine import clock, free_memory_bytes, memory
from backend.doctor.packages import others, pinned, torch_build
from backend.doctor.parts import key
from backend.doctor.store import store
from backend.doctor.variables import misspelt, variables
from backend.settings import read_settings
from tests.services import free_port

MIB = 1024 * 1024


@pytest.fixture
def patient(monkeypatch, tmp_path) -> Patient:
    """A machine where nothing of ours runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))
    for name in ("TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT", "PORT"):
        monkeypatch.setenv(name, str(free_port()))
    return Patient(read_settings(), read_embedded())


def only(findings) -> Finding:
    (finding,) = findings
    return finding


class TestVariables:
    def test_a_letter_in_env_is_found_and_the_command_mends_it(self, patient, tmp_path):
        (tmp_path / ".env").write_text("TRITON_ENABELD=false\nADMIN_CONTACT=me\n")
        finding = only(variables(patient))
        assert finding.level == "warning"
        assert "did you mean TRITON_ENABLED?" in finding.words
        subprocess.run(finding.mend, shell=True, check=True)
        assert (tmp_path / ".env").read_text().startswith("TRITON_ENABLED=false\n")
        assert list(variables(patient)) == []

    def test_a_letter_in_the_environment_is_found_and_its_value_is_not_told(self, patient, monkeypatch):
        monkeypatch.setenv("API_KEYES", "ops:admin:secret")
        finding = only(variables(patient))
        assert "did you mean API_KEYS?" in finding.words
        assert "secret" not in str(finding.lines)

    def test_a_service_s_own_variables_are_asked_of_the_service(self, patient, monkeypatch):
        monkeypatch.setenv("YOLO26_DECODE_THREADS", "4")
        monkeypatch.setenv("YOLO26_WEIGTHS", "demo")
        assert "did you mean YOLO26_WEIGHTS?" in only(variables(patient)).words

    @pytest.mark.parametrize("name", ["PATH", "KUBERNETES_PORT", "TRITON_URL", "triton_url", "API_KEYS_FILE"])
    def test_what_is_of_others_or_right_is_left_alone(self, name):
        assert misspelt(name, {"TRITON_URL", "PORT", "HOST", "API_KEYS_FILE"}) is None


class TestKey:
    def test_a_key_that_others_may_read_fails_and_the_command_mends_it(self, patient, tmp_path):
        (file := tmp_path / "var" / "admin-key").parent.mkdir()
        file.write_text("secret")
        file.chmod(0o644)
        finding = only(key(patient))
        assert (finding.level, "secret" in str(finding.lines)) == ("FAIL", False)
        subprocess.run(finding.mend, shell=True, check=True)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert only(key(patient)).level == "OK"

    def test_before_the_first_start_there_is_none_and_that_is_well(self, patient):
        assert list(key(patient)) == []


class TestMachine:
    def test_a_container_s_bound_counts_where_it_is_less_than_the_machine_s(self, tmp_path):
        (meminfo := tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    8388608 kB\n")
        (cgroup := tmp_path / "cgroup").mkdir()
        assert free_memory_bytes(meminfo, cgroup) == 8192 * MIB
        (cgroup / "memory.max").write_text(f"{1024 * MIB}\n")
        (cgroup / "memory.current").write_text(f"{24 * MIB}\n")
        assert free_memory_bytes(meminfo, cgroup) == 1000 * MIB
        (cgroup / "memory.max").write_text("max\n")
        assert free_memory_bytes(meminfo, cgroup) == 8192 * MIB

    def test_little_memory_is_a_warning_before_a_start(self, patient, monkeypatch):
        monkeypatch.setattr(machine, "free_memory_bytes", lambda: 1000 * MIB)
        finding = only(memory(patient))
        assert (finding.level, "1,000 MiB free" in finding.words) == ("warning", True)

    def test_a_clock_from_before_the_installation_fails(self, patient, monkeypatch):
        assert list(clock(patient)) == []
        monkeypatch.setattr("backend.doctor.machine.time.time", lambda: 0.0)
        assert "timedatectl" in only(clock(patient)).mend


class TestPackages:
    def test_another_version_than_was_tested_is_found_and_a_build_is_the_same_one(self, monkeypatch):
        monkeypatch.setattr(
            packages.metadata, "version", {"numpy": "1.26.4", "torch": "2.13.0+cpu", "httpx": "0.27.0"}.get
        )
        pins = pinned(
            "# a word\nnumpy==1.26.4\ntorch==2.13.0\nhttpx==0.28.1 ; python_version > '3'\ngone==1\n"
        )
        assert list(others(pins)) == [("httpx", "0.27.0 (tested: 0.28.1)")]

    def test_this_installation_is_looked_at(self, patient):
        found = list(packages.packages(patient))
        assert [finding.about for finding in found] == ["packages"]

    def test_numpy_2_fails_since_the_embedded_triton_sends_nothing_with_it(self, patient, monkeypatch):
        monkeypatch.setattr(packages.metadata, "version", lambda _: "2.1.0")
        assert next(packages.packages(patient)).level == "FAIL"

    def test_a_cpu_build_beside_a_gpu_is_a_warning_with_the_command(self, patient, monkeypatch):
        monkeypatch.setattr(packages.metadata, "version", lambda _: "2.13.0+cpu")
        monkeypatch.setattr(packages, "cards", list)
        assert list(torch_build(patient)) == []
        monkeypatch.setattr(packages, "cards", lambda: ["NVIDIA H200, 143771 MiB"])
        finding = only(torch_build(patient))
        assert "H200" in finding.words
        assert "pip install --force-reinstall torch==2.13.0 --index-url" in finding.mend


def test_whatever_is_wrong_has_a_mend(patient, monkeypatch, tmp_path):
    """As much of it at once as can be arranged on one machine."""
    (tmp_path / ".env").write_text("TRITON_ENABELD=false\n")
    monkeypatch.setenv("RTDETR_WEIGHTS", "/nowhere.pt")
    monkeypatch.setenv("ROLLOUT_STORE", f"redis://127.0.0.1:{free_port()}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    (file := tmp_path / "var" / "admin-key").parent.mkdir()
    file.touch()
    file.chmod(0o666)
    wrong = [finding for finding in command.examine() if finding.level != "OK"]
    assert {".env", "rtdetr", "triton", "disk", "store", "admin key"} <= {finding.about for finding in wrong}
    assert all(finding.mend for finding in wrong)


def test_a_store_that_is_away_is_told_without_its_password(monkeypatch, tmp_path):
    monkeypatch.setenv("ROLLOUT_STORE", f"redis://crossfade:secret@127.0.0.1:{(port := free_port())}/0")
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path))
    finding = only(store(Patient(read_settings(), read_embedded())))
    assert finding.level == "FAIL"
    assert f"redis-cli -h 127.0.0.1 -p {port} ping" in finding.mend
    assert "secret" not in str(finding.lines)
