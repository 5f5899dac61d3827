"""A store in a file and back, into every kind that lasts: what comes back, what is refused, who obeys it."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ai.core.errors import BadSetting
from backend import cli
from backend.rollout.backup import Backup, BadBackup, back_up, restore
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, Sample, SampleLimits, Store
from backend.rollout.stores.opening import open_store
from backend.settings import read_settings
from tests.redis_server import needs_redis, running_redis
from tests.rollout_house import House, until

pytestmark = pytest.mark.usefixtures("nothing_said_of_flags")
KINDS = ["sqlite", pytest.param("redis", marks=needs_redis)]
RAMP = Ramp(id="r", steps=(0.1, 0.5), phase="running", step=0, tries=2, step_at=100.0)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/x.db"
        return
    with running_redis(tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(open_store(url)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.jsonl"


def changed(store: Store, **fields: object) -> Change:
    last = store.read().change
    state = replace(last.state if last else RolloutState(), version=last.version + 1 if last else 1, **fields)  # type: ignore[arg-type]
    change = Change.made(None, state, who="anna", reason="", at=1000.0)
    assert store.write(change, last.version if last else None)
    return change


def filled(store: Store) -> None:
    changed(store, fraction=0.1)
    changed(store, fraction=0.3, overrides={"yolo26": 0.1}, ramps={"yolo26": RAMP})
    store.add("yolo26/r.2", {"errors.0": 9}, "a", 1)
    pair = Sample("a", 1e9, "yolo26", "gate", "r.2", "day", "1", ("missed",), ("person",), (), (), 9, 9)
    store.add_sample(pair, b"\xff\xd8", SampleLimits(9, 10_000, 1e12))


class TestFile:
    def test_it_is_for_this_user_only_and_replaces_nothing_unless_told_to(
        self, store: Store, file: Path
    ) -> None:
        filled(store)
        assert back_up(store, file, "here", force=False) == 4
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        before = file.read_bytes()
        changed(store, fraction=0.9)
        with pytest.raises(BadBackup, match="--force"):
            back_up(store, file, "here", force=False)
        assert file.read_bytes() == before
        assert back_up(store, file, "here", force=True) == 5
        assert [one.name for one in file.parent.glob(".*")] == []

    def test_an_empty_store_is_not_worth_a_file(self, store: Store, file: Path) -> None:
        with pytest.raises(BadBackup, match="empty"):
            back_up(store, file, "here", force=False)
        assert not file.exists()

    @pytest.mark.parametrize("harm", ["cut short", "no backup", "of a newer Crossfade", "not there"])
    def test_what_is_not_whole_is_refused(self, tmp_path: Path, file: Path, harm: str) -> None:
        with closing(open_store(f"sqlite:///{tmp_path}/y.db")) as store:
            filled(store)
            back_up(store, file, "here", force=False)
        lines = file.read_text().splitlines(keepends=True)
        if harm == "cut short":
            file.write_text("".join(lines[:-2]))
        elif harm == "no backup":
            file.write_text("{}\n")
        elif harm == "of a newer Crossfade":
            file.write_text(json.dumps(json.loads(lines[0]) | {"format": 2}) + "\n")
        else:
            file.unlink()
        with pytest.raises(BadBackup, match=r"cut short|no backup|newer Crossfade|cannot be read"):
            Backup.read(file)


class TestRestore:
    def test_an_empty_store_gets_everything_and_a_change_that_says_so(
        self, store: Store, file: Path, tmp_path: Path
    ) -> None:
        with closing(open_store(f"sqlite:///{tmp_path}/from.db")) as other:
            filled(other)
            back_up(other, file, "there", force=False)
            rows = list(other.dump())
        change = restore(store, Backup.read(file), "otto")
        kept = [row for row in store.dump() if row.get("version") != 3]
        assert kept == rows
        assert (change.version, change.who, change.state.fraction) == (3, "otto", 0.3)
        assert change.reason.startswith("restored from kept.jsonl of 20")
        assert (store.history(1)[0].who, store.picture("a")) == ("otto", b"\xff\xd8")

    def test_a_ramp_comes_back_paused_and_measures_anew(self, store: Store, file: Path) -> None:
        filled(store)
        back_up(store, file, "here", force=False)
        changed(store, ramps={"yolo26": RAMP.over("aborted"), "rtdetr": RAMP}, fraction=0.0)
        state = restore(store, Backup.read(file), "otto").state
        ramp = state.ramps["yolo26"]
        assert (ramp.phase, ramp.paused, ramp.epoch) == ("running", "restored from kept.jsonl", "r.3")
        assert abs(ramp.step_at - time.time()) < 60
        assert (list(state.ramps), state.fraction_of("yolo26")) == (["yolo26"], 0.1)

    def test_in_a_store_with_content_only_the_flags_change_on_top(self, store: Store, file: Path) -> None:
        filled(store)
        back_up(store, file, "here", force=False)
        for fraction in (0.6, 0.7, 0.8):
            before = changed(store, fraction=fraction)
        store.add("yolo26/r.2", {"errors.0": 1}, "a", 2)
        store.remove_samples(None)
        change = restore(store, Backup.read(file), "otto")
        assert (change.version, change.state.fraction, change.before) == (
            6, 0.3, json.loads(json.dumps(before.after)),
        )  # fmt: skip
        assert (len(store.history(100)), store.counts("yolo26/r.2"), store.samples(9)) == (
            6, {"errors.0": 10}, (),
        )  # fmt: skip

    async def test_workers_that_live_obey_it_rather_than_put_theirs_back(
        self, url: str, store: Store, file: Path, tmp_path: Path
    ) -> None:
        house = House(tmp_path / "machine", url)
        rollout = await house.start()
        back_up(store, file, "here", force=False)
        for fraction in (0.5, 0.7):
            await rollout.change({"fraction": fraction}, who="anna", reason="", version=None)
        restore(store, Backup.read(file), "otto")
        await until(lambda: rollout.flags.view.state is not None and rollout.flags.view.state.version == 4)
        assert (await rollout.read()).fraction == 0.1
        await house.close()


class TestCommand:
    def crossfade(self, *words: str) -> object:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        return ended.value.code

    def test_there_and_back(
        self, url: str, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        filled(store)
        monkeypatch.setenv("ROLLOUT_STORE", url)
        assert self.crossfade("store", "backup", str(file)) == 0
        changed(store, fraction=1.0)
        assert "--force" in str(self.crossfade("store", "backup", str(file)))
        assert self.crossfade("store", "restore", str(file)) == 0
        said = capsys.readouterr().out
        assert "4 rows" in said
        assert "fraction 30.00%" in said
        assert "paused: the ramp of yolo26" in said
        assert store.read().change.state.fraction == 0.3  # type: ignore[union-attr]

    def test_what_would_leave_requests_to_nobody_is_not_restored(
        self, url: str, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        filled(store)
        back_up(store, file, "here", force=False)
        monkeypatch.setenv("ROLLOUT_STORE", url)
        monkeypatch.setenv("LEGACY_ENABLED", "false")
        assert "LEGACY_ENABLED=false leaves" in str(self.crossfade("store", "restore", str(file)))
        assert len(store.history(100)) == 2


class TestSetting:
    @pytest.mark.parametrize("good", [
        "redis://h", "redis://u:p%40q@h:6380/3?prefix=north", "rediss://:p@[::1]:1", "sqlite:///a/b.db", "memory:", "",
    ])  # fmt: skip
    def test_a_store_is_named_by_its_url(self, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROLLOUT_STORE", good)
        assert read_settings().rollout_store == good

    @pytest.mark.parametrize("bad", [
        "redis://", "redis://u:hush@h/x", "redis://u:hush@h:0", "redis://u:hush@h:99999", "redis://u:hush@h?prefix=a b",
        "redis://u:hush@h?password=1", "redis//u:hush@h", "http://u:hush@h", "sqlite:///", "hush@redis://h",
    ])  # fmt: skip
    def test_what_is_none_is_refused_in_words_without_its_password(
        self, bad: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROLLOUT_STORE", bad)
        with pytest.raises(BadSetting, match=r"ROLLOUT_STORE=.*must be sqlite:///PATH") as refused:
            read_settings()
        assert "hush" not in str(refused.value)
