"""deploy/secrets.sh: all or nothing, nobody else's files, and a --check that names what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.composed import made_secrets, owner
from tests.services import ROOT

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script and what it looks at, under a umask of 022."""
    (tmp_path / "deploy/switch").mkdir(parents=True)
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "monitoring/prometheus.yml").touch()
    for path in ("deploy/secrets.sh", ".env.prod.example"):
        shutil.copy(ROOT / path, tmp_path / path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    return tmp_path


def script(checkout: Path, *words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "deploy/secrets.sh", *words],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def made(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    ended = script(checkout, *owner(), *words)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_a_failure_on_the_way_leaves_nothing_that_a_second_call_would_meet(checkout: Path) -> None:
    broken = checkout / "bin"
    broken.mkdir()
    (broken / "openssl").write_text("#!/bin/sh\nexit 1\n")
    (broken / "openssl").chmod(0o755)
    failed = script(checkout, *owner(), "--self-signed", "localhost", path=f"{broken}:{os.environ['PATH']}")
    assert failed.returncode == 1
    assert "openssl" in failed.stderr
    assert [path for path in (checkout / "prod").rglob("*") if path.is_file()] == []
    made(checkout, "--self-signed", "localhost")
    assert (checkout / "prod/secrets/tls_key").stat().st_mode & 0o777 == 0o600
    assert not list((checkout / "prod").glob(".secrets.*"))


@AS_ROOT
def test_what_was_there_before_stays_its_owners(checkout: Path) -> None:
    theirs = checkout / "prod/weights/theirs.pt"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    made(checkout)
    assert (theirs.stat().st_uid, theirs.parent.stat().st_uid) == (0, 0)
    assert (checkout / "prod/secrets/api_keys").stat().st_uid == 10001
    assert (checkout / "prod/grafana/dashboards").stat().st_uid == 10001
    assert "prod/weights is no folder of 10001:10001" in script(checkout, "--check").stderr


@pytest.mark.parametrize("odd", ["a&b", "a|b", "a\\b", "a b"])
def test_a_folder_that_env_prod_cannot_name_is_refused(checkout: Path, odd: str) -> None:
    ended = script(checkout, *owner(), "--dir", str(checkout / odd))
    assert ended.returncode == 1
    assert not (checkout / ".env.prod").exists()
    assert not (checkout / odd).exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("localhost", "DNS:localhost"), ("192.168.1.5", "IP Address:192.168.1.5"), ("::1", "IP Address:0:0:0")],
)
def test_a_certificate_for_an_address_says_so(checkout: Path, name: str, kind: str) -> None:
    made(checkout, "--self-signed", name)
    words = [
        "openssl",
        "x509",
        "-noout",
        "-ext",
        "subjectAltName",
        "-in",
        checkout / "prod/secrets/tls_certificate",
    ]
    assert kind in subprocess.check_output(words, text=True)


@pytest.mark.parametrize("folder", ["monitoring", "deploy/switch"])
def test_a_checkout_that_the_containers_could_not_read_is_refused(checkout: Path, folder: str) -> None:
    """What a umask of 077 leaves; the same modes are enough where the containers run as the checkout's owner."""
    (checkout / folder).chmod(0o700)
    if os.getuid() == 0:
        ended = script(checkout, *owner())
        assert ended.returncode == 1
        assert f"{checkout / folder}\n" in ended.stderr
        assert not (checkout / "prod").exists()
        os.chown(checkout / folder, 10001, 10001)
    made(checkout)


def test_the_check_names_what_is_missing_and_is_content_when_nothing_is(tmp_path: Path) -> None:
    prod = made_secrets(tmp_path)
    for given in (prod / "secrets").iterdir():
        given.chmod(0o600)
        if os.getuid() == 0:
            os.chown(given, 10001, 10001)
    content = script(tmp_path, "--check")
    assert content.returncode == 0, content.stderr
    (prod / "secrets/tls_key").unlink()
    (prod / "secrets/page_url").write_text("")
    (prod / "secrets/info_url").chmod(0o644)
    with (tmp_path / ".env.prod").open("a") as file:
        file.write("TRITON_CPUS=100000\n")
    refused = script(tmp_path, "--check")
    assert refused.returncode == 1
    for sentence in (
        "tls_key is missing",
        "page_url is missing or empty",
        "info_url is not of mode 600",
        "TRITON_CPUS=100000",
    ):
        assert sentence in refused.stderr  # fmt: skip
    assert "heartbeat_url" not in refused.stderr


def test_no_limit_is_written_that_docker_would_refuse_here(checkout: Path) -> None:
    made(checkout)
    written = dict(re.findall(r"^(\w+_CPUS)=(\d+)$", (checkout / ".env.prod").read_text(), re.M))
    assert written.keys() == {"BACKEND_CPUS", "LEGACY_CPUS", "TRITON_CPUS"}
    assert all(1 <= int(cores) <= (os.cpu_count() or 1) for cores in written.values())


def test_help_is_help(checkout: Path) -> None:
    ended = script(checkout, "--help")
    assert ended.returncode == 0
    assert "--self-signed" in ended.stdout
    assert not (checkout / "prod").exists()
