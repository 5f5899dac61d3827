"""The console's source: nothing in it makes markup of a text, asks another host, or is larger than can be read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backend.api.console import FOLDER

MAX_LINES = 300

FILES = sorted(path for path in FOLDER.iterdir() if path.is_file() and not path.name.startswith("."))
MODULES = [path for path in FILES if path.suffix == ".js"]

MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\s*\.\s*write|setHTML|createContextualFragment|DOMParser|srcdoc"
    r"|\beval\b|new\s+Function|setAttribute\(\s*[\"']style|javascript:|[\"']on(?:click|load|error)[\"']\s*[:,]"
)
OTHER_HOST = re.compile(r"""(?:https?:|wss?:|url\(\s*["']?)//|["'(]//""")
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, which nobody asks
IMPORT = re.compile(r"""(?:^import\b[^"'`;]*|\bimport\()["'`]([^"'`]+)["'`]""", re.MULTILINE)
CONTRAST = 4.5
INKS = ("ink", "soft", "legacy", "triton", "good", "bad", "warn")


class Page(HTMLParser):
    """What a strict policy would refuse, and what the page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.fetched: list[str] = []
        self.titles: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        known = dict(attrs)
        self.inline += [name for name in known if name == "style" or name.startswith("on")]
        self.inline += ["style"] if tag == "style" else []
        self.inline += ["script"] if tag == "script" and "src" not in known else []
        self.fetched += [str(known[name]) for name in ("src", "href") if name in known]

    def handle_data(self, data: str) -> None:
        if self._open == "h2":
            self.titles.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.fixture(scope="module")
def page() -> Page:
    read = Page()
    read.feed((FOLDER / "index.html").read_text())
    return read


@pytest.mark.parametrize(
    "line",
    ["x.innerHTML = y", "e.setAttribute('style', s)", "document.write(t)", "new DOMParser()", "eval(t)"],
)
def test_what_is_looked_for_is_found(line: str) -> None:
    assert MARKUP.search(line)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_makes_markup_of_a_text(path: Path) -> None:
    assert not MARKUP.findall(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_another_host(path: Path) -> None:
    assert not OTHER_HOST.findall(path.read_text().replace(NAMESPACE, ""))


def test_the_page_holds_no_script_and_no_style_of_its_own(page: Page) -> None:
    assert page.inline == []


def test_everything_that_the_page_fetches_is_there(page: Page) -> None:
    assert page.fetched
    for address in page.fetched:
        assert address.startswith("/console/"), address
        assert (FOLDER / address.removeprefix("/console/")).is_file(), address


def test_the_page_has_a_section_for_each_part(page: Page) -> None:
    named = {"Crossfader", "Switch", "Traffic", "Ramp", "Mismatches", "History", "Try a picture"}
    assert named <= set(page.titles)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_every_import_is_a_file_beside_it(path: Path) -> None:
    source = path.read_text()
    assert len(IMPORT.findall(source)) == len(re.findall(r"^import\b|\bimport\(", source, re.MULTILINE))
    for name in IMPORT.findall(source):
        if "${" not in name:  # main's parts, which the next test looks at
            assert name.startswith("./"), name
            assert (FOLDER / name).is_file(), f"{path.name} imports {name}"


def test_every_part_that_is_mounted_is_a_module_with_a_place_on_the_page() -> None:
    parts = re.findall(r'\["(\w+)", "#(panel-\w+)"\]', (FOLDER / "main.js").read_text())
    index = (FOLDER / "index.html").read_text()
    assert len(parts) == 7
    for name, place in parts:
        assert "export function mount(" in (FOLDER / f"{name}.js").read_text(), name
        assert f'id="{place}"' in index, place


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) < MAX_LINES


# --- colours ----------------------------------------------------------------------------------------------


def _themes() -> dict[str, dict[str, str]]:
    """The tokens of each; dark says only what differs."""
    light, dark = (FOLDER / "console.css").read_text().split("prefers-color-scheme: dark", 1)
    tokens = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text)) for text in (light, dark)]
    return {"light": tokens[0], "dark": tokens[0] | tokens[1]}


def _luminance(colour: str) -> float:
    """Of WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_ink_can_be_read_on_every_ground(theme: str) -> None:
    tokens = _themes()[theme]
    for ground in ("ground", "panel"):
        for ink in INKS:
            assert _contrast(tokens[ink], tokens[ground]) >= CONTRAST, f"{ink} on {ground}"
    assert _contrast(tokens["fill-ink"], tokens["fill"]) >= CONTRAST


def test_a_weak_contrast_is_found() -> None:
    assert _contrast("#777777", "#888888") < CONTRAST < _contrast("#000000", "#ffffff")
