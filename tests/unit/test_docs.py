"""The pages: what is made from the code is as it would be made, and whatever a page names is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ai.serving.settings import ServiceSettings
from backend import cli
from backend.api.roles import ROLES, role_of
from backend.main import create_app
from docs.making import __main__ as making
from docs.making import configuration
from docs.making.api import document, routes
from docs.making.commands import words_of
from docs.making.pages import Page, made, stale, written
from tests.api_parts import ADMIN, CALLER, KEYS, VIEWER, asked_in_process, running, settings_of, sides_of
from tests.command_lines import commands_in, require_understood

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Said in our pages, and read by libraries and programs that are not ours.
OF_OTHERS = {
    "FASTAPI_OTEL_AUTO_CONFIGURE", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
    "PRIORITY_MAX", "YOLO_AUTOINSTALL",
}  # fmt: skip
MADE_BY_THEIR_USERS = {"deploy/switch/.env"}
DEPLOYED = "\n".join(
    path.read_text(errors="replace")
    for path in (*ROOT.glob("docker-compose*.yml"), ROOT / "Makefile", *(ROOT / "deploy").rglob("*"))
    if path.is_file()
)


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


@cache
def headings(path: Path) -> frozenset[str]:
    """As GitHub makes anchors of them."""
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    found = re.findall(r"^#+ (.+)$", prose, re.M)
    bare = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in found)
    return frozenset(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in bare)


class TestMadePages:
    def test_they_are_as_the_code_would_make_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`make docs` writes them again."""
        assert making.main(["--check"]) == 0, capsys.readouterr().out

    def test_a_stale_one_is_named_and_a_written_one_is_not_stale(self, tmp_path: Path) -> None:
        (tmp_path / "a.md").write_text("as it was")
        pages = {"a.md": Page("as it is", "x"), "b.md": Page("new", "x")}
        assert stale(pages, tmp_path) == ["a.md", "b.md"]
        assert written(pages, tmp_path) == ["a.md", "b.md"]
        assert stale(pages, tmp_path) == []

    def test_every_setting_says_what_it_means(self) -> None:
        silent = [
            row.names for section in configuration.sections() for row in section.rows if not row.meaning
        ]
        assert silent == []

    def test_every_page_that_is_made_is_one_that_is_kept(self) -> None:
        assert {ROOT / path for path in made()} <= set(PAGES)


class TestEveryPage:
    def test_what_it_links_to_is_there(self, page: Path) -> None:
        broken = []
        for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in headings(file)):
                broken.append(target)
        assert broken == []

    def test_its_commands_are_understood(self, page: Path) -> None:
        """A pattern such as `ramp pause|resume` is none to be typed, and a name alone names the command."""
        not_understood = []
        for command in commands_in(page.read_text()):
            words = re.sub(r" [|>;&].*", "", command)
            if re.search(r"[…|\[\]$]", words) or words in command_names():
                continue
            try:
                require_understood(words)
            except SystemExit:
                not_understood.append(command)
        assert not_understood == []

    def test_its_make_targets_are_there(self, page: Path) -> None:
        makefile = (ROOT / "Makefile").read_text()
        named = set(re.findall(r"(?:^|`|&& )make ([a-z]+)(?=[ `\n;]|$)", page.read_text(), re.M))
        assert {
            target for target in named if not re.search(rf"^[a-z ]*\b{target}\b.*:", makefile, re.M)
        } == set()

    def test_the_variables_it_names_are_settings(self, page: Path) -> None:
        known = configuration.known()
        named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])(?:=[^`]*)?`", page.read_text()))
        assert {name for name in named - known - OF_OTHERS if not is_known_elsewhere(name)} == set()

    def test_the_files_it_names_are_there(self, page: Path) -> None:
        folders = "backend|tests|ai|deploy|benchmarks|docs|monitoring"
        named = set(re.findall(rf"`((?:{folders})/[\w./-]+[\w/])`", page.read_text()))
        assert {path for path in named - MADE_BY_THEIR_USERS if not (ROOT / path).exists()} == set()


@cache
def command_names() -> frozenset[str]:
    def below(parser: ArgumentParser) -> Iterator[str]:
        for word in words_of(parser):
            yield word.name
            yield from below(word.parser)

    return frozenset(below(cli.parser()))


@cache
def all_code() -> str:
    return "\n".join(
        path.read_text()
        for root in ("ai", "backend", "tests", "monitoring", "benchmarks")
        for path in (ROOT / root).rglob("*.py")
    )


def is_known_elsewhere(name: str) -> bool:
    """A legacy service's without its prefix, a deployment's, or a word of the code: a reason, a gRPC status."""
    return name.lower() in ServiceSettings.model_fields or name in DEPLOYED or name in all_code()


class TestTroubleshooting:
    PAGE = ROOT / "docs" / "troubleshooting.md"

    def test_each_sentence_that_it_quotes_is_one_that_the_code_says(self) -> None:
        quoted = re.findall(r"^\| (?:``(.+?)``|`([^`]+)`) \|", self.PAGE.read_text(), re.M)
        assert len(quoted) > 35
        assert "a sentence that " + "nobody ever says" not in sentences()
        missing = [one or other for one, other in quoted if (one or other).strip("…") not in sentences()]
        assert missing == []


@cache
def sentences() -> str:
    """The code with … where something is put into a text, and the pieces of a text in one."""
    source = "\n".join(path.read_text() for root in ("ai", "backend") for path in (ROOT / root).rglob("*.py"))
    filled = re.sub(r"\{(?:[^{}\n]|\{[^{}\n]*\})*\}", "…", source)
    return re.sub(r"""["']\s*\n\s*[rf]?["']""", "", filled)


class TestApiPage:
    @pytest.mark.skipif(not shutil.which("curl"), reason="needs curl (Debian: curl)")
    def test_the_calls_of_its_beginning_are_answered(self, tmp_path: Path) -> None:
        page = (ROOT / "docs" / "making" / "api.begin.md").read_text()
        calls = re.findall(r"^curl .+$", page, re.M)
        assert len(calls) == 5
        with running(settings_of(tmp_path, triton_enabled=True), sides_of()) as server:
            for call in calls:
                asked = call.replace("http://localhost:8080", server.url).replace(
                    "curl ", "curl -sS --fail-with-body ", 1
                )
                done = subprocess.run(
                    ["bash", "-c", asked], cwd=ROOT, env={"KEY": "admin-key", "PATH": "/usr/bin:/bin"},
                    capture_output=True, text=True, timeout=20, check=False,
                )  # fmt: skip
                assert done.returncode == 0, (call, done.stdout, done.stderr)

    def test_every_role_is_of_a_route(self) -> None:
        assert set(ROLES) <= {route for route, _ in routes(document())}

    async def test_each_route_asks_for_the_role_that_the_page_says(self, tmp_path: Path) -> None:
        """By the keys themselves: the least that gets past the door is the one that is named."""
        app_settings = settings_of(tmp_path, api_keys=KEYS)
        async with asked_in_process(create_app(app_settings, sides_of())) as client:
            for route, _ in routes(document()):
                method, path = route.split(" ")
                if path.endswith("/events"):
                    continue  # without an end; its key is tried in test_api_routes
                asked = [
                    (await client.request(method, path.replace("{sample_id}", "x"), headers=key)).status_code
                    for key in ({}, CALLER, VIEWER, ADMIN)
                ]
                assert least(asked) == role_of(route).split(",")[0], (route, asked)


def least(statuses: list[int]) -> str:
    for role, status in zip(("none", "caller", "viewer", "admin"), statuses, strict=True):
        if status not in (401, 403):
            return role
    return "nobody"
