"""Which parts there are, and where, for what the environment says."""

from __future__ import annotations

import pytest

from ai.core.sample import sample_jpeg
from ai.triton.embedded.settings import read_settings as read_embedded
from backend.settings import read_settings
from backend.stack.backend_api import BackendApi, admin_key, media_type
from backend.stack.errors import StackError
from backend.stack.parts import FRONT, SIDES
from backend.stack.plan import backend_url, first_values, parts_of, require_local_services


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """The parts by name for these variables, with no .env about."""
    monkeypatch.chdir(tmp_path)

    def plan(**variables: str):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return {part.name: part for part in parts_of(read_settings(), read_embedded())}

    return plan


def test_without_a_word_there_are_four_parts_and_the_backend_is_in_front(planned):
    parts = planned()
    assert {name: part.stage for name, part in parts.items()} == {
        "rtdetr": SIDES, "yolo26": SIDES, "triton": SIDES, "backend": FRONT,
    }  # fmt: skip
    assert parts["triton"].ports == {
        "TRITON_GRPC_PORT": 8001,
        "TRITON_HTTP_PORT": 8000,
        "TRITON_METRICS_PORT": 8002,
    }
    assert parts["backend"].variables["TRITON_URL"] == "localhost:8001"


@pytest.mark.parametrize(
    "variables",
    [
        {"TRITON_URL": "localhost:9001"},
        {"TRITON_GRPC_PORT": "9001"},
        {"TRITON_URL": "127.0.0.1:9001", "TRITON_GRPC_PORT": "9001"},
    ],
)
def test_an_address_and_a_port_say_the_same_to_server_and_backend(planned, variables):
    parts = planned(**variables)
    assert parts["triton"].variables["TRITON_GRPC_PORT"] == "9001"
    assert parts["backend"].variables["TRITON_URL"] == "localhost:9001"


def test_an_address_and_a_port_that_disagree_are_told(planned):
    with pytest.raises(
        StackError, match="TRITON_URL=localhost:9001 and TRITON_GRPC_PORT=9002 name different ports"
    ):
        planned(TRITON_URL="localhost:9001", TRITON_GRPC_PORT="9002")


def test_a_port_of_zero_is_picked_once_for_both(planned):
    """Triton's other ports may be taken here."""
    parts = planned(TRITON_GRPC_PORT="0", TRITON_HTTP_PORT="0", TRITON_METRICS_PORT="0")
    port = parts["triton"].variables["TRITON_GRPC_PORT"]
    assert int(port) > 0
    assert parts["backend"].variables["TRITON_URL"] == f"localhost:{port}"


@pytest.mark.parametrize("url", ["other:8001", "dns:///triton.internal:8001"])
def test_a_triton_elsewhere_is_used_and_not_started(planned, url):
    parts = planned(TRITON_URL=url)
    assert "triton" not in parts
    assert "TRITON_URL" not in parts["backend"].variables


def test_a_legacy_service_elsewhere_is_refused_unless_legacy_is_off(planned):
    planned(RTDETR_URL="http://10.0.0.7:8090")
    with pytest.raises(StackError, match="is not on this machine"):
        require_local_services(read_settings())
    assert set(planned(LEGACY_ENABLED="false")) == {"triton", "backend"}
    require_local_services(read_settings())


def test_each_first_value_gives_way_to_what_was_said(planned, tmp_path):
    assert first_values(read_settings()) == {
        "TRITON_ENABLED": "true",
        "TRITON_TRAFFIC_FRACTION": "0.1",
        "TRITON_SHADOW_FRACTION": "0.1",
    }
    (tmp_path / ".env").write_text("TRITON_TRAFFIC_FRACTION=0\n")
    given = planned()["backend"].variables
    assert given["TRITON_ENABLED"] == "true"
    assert "TRITON_TRAFFIC_FRACTION" not in given
    assert "TRITON_ENABLED" not in planned(TRITON_ENABLED="true")["backend"].variables


def test_without_legacy_nobody_is_given_a_tenth(planned):
    planned(LEGACY_ENABLED="false")
    assert first_values(read_settings()) == {"TRITON_ENABLED": "true"}


def test_with_the_kill_switch_thrown_a_machine_that_cannot_run_triton_runs_the_rest(planned, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "triton" in planned()
    assert "triton" not in planned(TRITON_ENABLED="false")


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8080"), ("::", "http://[::1]:8080"), ("10.1.2.3", "http://10.1.2.3:8080")],
)
def test_a_backend_for_everybody_is_asked_at_home(planned, host, url):
    planned(HOST=host)
    assert backend_url(read_settings()) == url


def test_the_key_is_the_configured_admins_or_the_generated_one(planned, tmp_path):
    planned(CROSSFADE_VAR=str(tmp_path))
    assert admin_key(read_settings()) is None
    (tmp_path / "admin-key").write_text("generated\n")
    assert admin_key(read_settings()) == "generated"
    planned(API_KEYS="frigate:caller:x, me:admin:with:colon")
    assert admin_key(read_settings()) == "with:colon"


def test_this_machines_key_is_shown_to_no_other_machine(planned, tmp_path):
    (tmp_path / "admin-key").write_text("generated\n")
    planned(CROSSFADE_VAR=str(tmp_path))
    sent = {
        url: BackendApi.of(read_settings(), url).headers for url in ("http://localhost:1", "http://other:1")
    }
    assert sent == {"http://localhost:1": {"X-API-Key": "generated"}, "http://other:1": {}}


def test_a_pictures_type_is_what_its_bytes_say():
    assert media_type(sample_jpeg()) == "image/jpeg"
    assert media_type(b"no picture") == "application/octet-stream"


def test_the_services_share_the_cores_unless_somebody_says_otherwise(planned):
    assert planned()["yolo26"].variables["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_WAIT_POLICY" not in planned(OMP_WAIT_POLICY="ACTIVE")["yolo26"].variables
