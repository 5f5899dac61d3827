"""SECURITY.md names tests that are there, and every test of this folder is named by it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text()))


def test_what_it_names_is_there_and_what_is_there_is_named() -> None:
    assert len(NAMED) > 20
    assert [path for path in sorted(NAMED) if not (ROOT / path).is_file()] == []
    ours = {str(path.relative_to(ROOT)) for path in Path(__file__).parent.glob("test_*.py")}
    assert ours - NAMED == {"tests/security/test_page.py"}
