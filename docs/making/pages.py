"""Which pages are made, from what, and whether they are as they would be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from docs.making import api, commands, configuration, performance, reliability, scaling

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Page:
    text: str
    source: str


def made() -> dict[str, Page]:
    """By their paths in the repository."""
    return {
        "docs/configuration.md": Page(configuration.page(), "the settings"),
        "docs/commands.md": Page(commands.page(), "the commands' own help"),
        "docs/api.md": Page(api.page(), "the routes and docs/making/api.begin.md"),
        "docs/reliability.md": Page(reliability.page(), "the last runs of the fault table and the soak"),
        "docs/performance.md": Page(performance.page(), "the kept runs and docs/making/performance.*.md"),
        "docs/scaling.md": Page(scaling.page(), "the kept runs and docs/making/scaling.begin.md"),
    }


def stale(pages: Mapping[str, Page], root: Path = ROOT) -> list[str]:
    return [path for path, page in pages.items() if _as_it_is(root / path) != page.text]


def written(pages: Mapping[str, Page], root: Path = ROOT) -> list[str]:
    """Those that had to be."""
    changed = stale(pages, root)
    for path in changed:
        (root / path).write_text(pages[path].text, encoding="utf-8")
    return changed


def _as_it_is(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
