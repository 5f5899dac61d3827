"""The compose files as docker-compose puts them together, and their services as processes of this machine.

No container engine is needed: a service's own command, environment and health check are run with its paths and ports
in other places, and with nothing else changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import ROOT, free_port, stop

PROD, CPU, RETIRED = "docker-compose.prod.yml", "docker-compose.cpu.yml", "docker-compose.retired.yml"
PATIENCE_S = 90.0
PROGRAMS = {
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
}  # of images whose command has none
Service = Mapping[str, Any]

needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None,
    reason="there is no docker-compose here (Debian: apt-get install docker-compose)",
)


def composed(prod: Path, *overrides: str, **variables: str) -> dict[str, Any]:
    """What docker-compose makes of the files, every profile included; AssertionError with its words otherwise."""
    files = [word for name in (PROD, *overrides) for word in ("-f", str(ROOT / name))]
    settings = {"CROSSFADE_USER": f"{os.getuid() or 10001}:10001", "PROD_DIR": str(prod), **variables}
    env_file = prod / "env"
    env_file.write_text(f"{(ROOT / '.env.prod.example').read_text()}\n{_lines(settings)}")
    words = [
        "docker-compose",
        "--project-directory",
        str(ROOT),
        "--env-file",
        str(env_file),
        *files,
        "config",
    ]
    made = subprocess.run(
        words, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    found: dict[str, Any] = yaml.safe_load(made.stdout.replace("$$", "$"))
    return found


def _lines(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def enabled(services: Mapping[str, Service], *profiles: str) -> set[str]:
    return {
        name for name, one in services.items() if not one.get("profiles") or {*one["profiles"]} & {*profiles}
    }


def made_secrets(folder: Path) -> Path:
    """The folder that deploy/secrets.sh makes, beside a copy of the script; a certificate and addresses are added."""
    (folder / "deploy").mkdir(parents=True)
    script = shutil.copy(ROOT / "deploy/secrets.sh", folder / "deploy")
    shutil.copy(ROOT / ".env.prod.example", folder)
    subprocess.run([script, *owner()], check=True, capture_output=True)
    for name in ("tls_certificate", "tls_key", "page_url", "ticket_url", "info_url", "heartbeat_url"):
        (folder / "prod/secrets" / name).write_text("http://127.0.0.1:9/\n")
    return folder / "prod"


def owner() -> list[str]:
    """The containers must not be root, whoever runs the tests."""
    return ["--owner", "10001:10001"] if os.getuid() == 0 else []


@dataclass
class House:
    """Where what the containers see lies here. Read-only files of the repository are copied, their ports changed."""

    folder: Path
    services: Mapping[str, Service]
    secrets: Mapping[str, Any]
    here: Sequence[str]  # the services that run; the addresses of others stay what they are
    more: Sequence[tuple[str, str]] = ()  # what else stands otherwise
    _ports: dict[str, int] = field(default_factory=dict)

    def port(self, container_port: int) -> int:
        return self._ports.setdefault(str(container_port), free_port())

    def environment(self, name: str) -> dict[str, str]:
        said = self.services[name].get("environment", {})
        bins = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {
            "PATH": bins,
            "HOME": str(self.folder),
            **{key: self.mapped(name, value) for key, value in said.items()},
        }

    def words(self, name: str) -> list[str]:
        service = self.services[name]
        program = PROGRAMS.get(name, "")
        first = [self.mapped(name, word) for word in service.get("entrypoint", [program] if program else [])]
        first = [word.replace(f"exec {name} ", f"exec {program} ") for word in first]
        return [*first, *(self.mapped(name, word) for word in service.get("command", ()))]

    def working_dir(self, name: str) -> Path:
        place = self.services[name].get("working_dir")
        path = Path(self.mapped(name, place)) if place else self.folder / f"{name}-cwd"
        path.mkdir(exist_ok=True)
        return path

    def mapped(self, name: str, text: str) -> str:
        for target, source in sorted(self.paths(name).items(), reverse=True):  # the longest of a family first
            text = re.sub(rf"(?<![\w/.-]){re.escape(target)}(?![\w.-])", source, text)
        return self.moved(text)

    def moved(self, text: str) -> str:
        """Addresses and ports."""
        for old, new in (("0.0.0.0", "127.0.0.1"), *self.more):
            text = text.replace(old, new)
        text = re.sub(rf"\b(?:{'|'.join(self.here)}):(?=\d)", "127.0.0.1:", text)
        ports = "|".join(str(port) for name in self.here for port in PORTS[name])
        return re.sub(rf"(?<!\d)(?:{ports})(?!\d)", lambda found: str(self.port(int(found[0]))), text)

    def paths(self, name: str) -> dict[str, str]:
        service = self.services[name]
        tmp = self.folder / f"{name}-tmp"
        tmp.mkdir(exist_ok=True)
        mounts = {one["target"]: self._place(name, one) for one in service.get("volumes", ())}
        return {
            "/opt/crossfade": str(ROOT / "deploy/docker"),
            "/tmp": str(tmp),
            **mounts,
            **{str(Path("/run/secrets", one)): path for one, path in self._secrets(service)},
        }

    def _secrets(self, service: Service) -> Iterable[tuple[str, str]]:
        """Each by its name under /run/secrets, or by a path of its own."""
        mounts = service.get("secrets", ())
        return [(one.get("target", one["source"]), self.secrets[one["source"]]["file"]) for one in mounts]

    def _place(self, name: str, mount: Mapping[str, Any]) -> str:
        source = Path(mount["source"])
        if not source.is_relative_to(ROOT):
            return str(source)
        place = self.folder / f"{name}{mount['target'].replace('/', '-')}"
        if not place.exists():
            _copy(source, place)
        return str(place)

    def write_moved(self, name: str, target: str, *also: tuple[str, str]) -> None:
        """The texts of a mounted file or folder, with our addresses, ports and paths."""
        place = Path(self.paths(name)[target])
        for file in [place] if place.is_file() else place.rglob("*.yml"):
            text = self.mapped(name, file.read_text())
            for old, new in also:
                text = text.replace(old, new)
            file.write_text(text)

    @contextmanager
    def running(self, name: str, words: Sequence[str] | None = None, **variables: str) -> Iterator[Running]:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                words or self.words(name), env={**self.environment(name), **variables},
                cwd=self.working_dir(name), stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield Running(self, name, process, log)
        finally:
            stop(process)

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Its health check, once, as an engine would run it."""
        check = self.services[name]["healthcheck"]
        kind, *words = (self.mapped(name, word) for word in check["test"])
        if kind == "CMD-SHELL":
            words = ["sh", "-c", *words]
        return subprocess.run(
            words, env=self.environment(name), cwd=self.folder, capture_output=True, text=True,
            timeout=float(check["timeout"].removesuffix("s")), check=False,
        )  # fmt: skip


PORTS = {
    "backend": (8080,), "rtdetr": (8090,), "yolo26": (8095,), "triton": (8000, 8001, 8002), "redis": (6379,),
    "prometheus": (9090,), "alertmanager": (9093,),
}  # fmt: skip


@dataclass(frozen=True)
class Running:
    house: House
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_healthy(self) -> None:
        ends_at = time.monotonic() + PATIENCE_S
        while (checked := self.house.check(self.name)).returncode:
            assert self.process.poll() is None, f"{self.name} ended: {self.log_text()[-2000:]}"
            assert time.monotonic() < ends_at, f"{self.name}: {checked.stdout}{checked.stderr}"
            time.sleep(0.2)


def _copy(source: Path, place: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns(".env", "__pycache__"))
    else:
        shutil.copy(source, place)
