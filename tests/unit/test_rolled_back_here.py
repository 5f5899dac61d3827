"""A rollback that the store could not be told of says so to programs too: the console offers other things then."""

from __future__ import annotations

import sqlite3

from backend.main import create_app
from tests.api_parts import ADMIN, asked_in_process, ramped_settings_of, sides_of


async def test_only_a_rollback_that_holds_here_says_that_it_does(tmp_path):
    settings = ramped_settings_of(tmp_path)
    async with asked_in_process(create_app(settings, sides_of())) as api:
        with sqlite3.connect(tmp_path / "crossfade.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            rolled_back = await api.post("/api/rollout/rollback", headers=ADMIN)
            changed = await api.put("/api/rollout", headers=ADMIN | {"If-Match": "*"}, json={"fraction": 0.5})
            other.execute("ROLLBACK")
        other.close()
    assert (rolled_back.status_code, rolled_back.json()["rolled_back_here"]) == (503, True)
    assert "TRITON_ENABLED=false" in rolled_back.json()["detail"]
    assert changed.status_code == 503
    assert "rolled_back_here" not in changed.json()


async def test_where_not_even_the_journal_can_be_written_it_promises_nothing_of_other_workers(tmp_path):
    """As on a full disk."""
    settings = ramped_settings_of(tmp_path)
    async with asked_in_process(create_app(settings, sides_of())) as api:
        (tmp_path / "rollout-history.jsonl").unlink()
        (tmp_path / "rollout-history.jsonl").mkdir()
        with sqlite3.connect(tmp_path / "crossfade.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            rolled_back = await api.post("/api/rollout/rollback", headers=ADMIN)
            other.execute("ROLLBACK")
        other.close()
    assert (rolled_back.status_code, rolled_back.json()["rolled_back_here"]) == (503, True)
    assert "no other worker is reached" in rolled_back.json()["detail"]
    assert "others of this machine follow its journal" not in rolled_back.json()["detail"]
