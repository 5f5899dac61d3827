"""A store in a file and back, into every kind that lasts: what comes back, what is refused, who obeys it."""

from __future__ import annotations

import errno
import json
import math
import os
import pwd
import re
import stat
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai.core.errors import BadSetting
from backend import cli
from backend.rollout.backup import Backup, BadBackup, WouldGiveMore, back_up, restore
from backend.rollout.journal import Journal
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, Sample, SampleLimits, Store
from backend.rollout.stores.opening import open_store, store_name
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


def rows_of(*versions: int) -> list[dict[str, object]]:
    changes = [Change.made(None, RolloutState(version=one), who="a", reason="", at=1.0) for one in versions]
    return [{"row": "change"} | change.to_table() for change in changes]


def lines_of(rows: list[dict[str, object]], at: float = 1.0) -> str:
    head = {"crossfade": "backup", "format": 1, "at": at, "store": "x"}
    return "".join(json.dumps(line) + "\n" for line in [head, *rows, {"rows": len(rows)}])


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

    def test_a_file_system_without_links_keeps_one_too_and_replaces_none(
        self, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*paths: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr("backend.private_files.os.link", refuse)
        filled(store)
        back_up(store, file, "here", force=False)
        assert Backup.read(file).newest.version == 2
        with pytest.raises(BadBackup, match="--force"):
            back_up(store, file, "here", force=False)

    @pytest.mark.parametrize(("harm", "words"), [
        ({"version": "2"}, "line 3: version is '2'; it must be a whole number"),
        ({"version": math.nan}, "version is nan"),
        ({"version": 2**60}, "version is 1152921504606846976"),
        ({"version": 1}, "version 1 holds a state of version 2"),
        ({"at": "soon"}, "at is 'soon'; it must be a number"),
        ({"at": math.inf}, "at is inf"),
        ({"at": 10**400}, "at is 1000"),
        ({"who": ["anna"]}, "who is ['anna']; it must be a text"),
        ({"reason": "\ud800"}, "reason is"),
        ({"after": []}, "after is []; it must be a table"),
        ({"after": RolloutState(version=2).to_table() | {"pins": {"yard": "cloud"}}}, "pins.yard is 'cloud'"),
        ({"before": {"fraction": 7}}, "fraction is 7"),
        ({"row": "turn", "name": "gate", "at": 1.0, "seen": [["x"]]}, "a side of a box is 'x'"),
        ({"row": "book", "name": "b", "counts": {"a": 2**70}}, "counts.a is"),
        ({"row": "quota", "detector": "d", "cameras": [["gate", None]]}, "share is None"),
        ({"row": "record", "name": 7, "text": ""}, "name is 7"),
        ({"row": "sample", "id": 7}, "line 3: "),
        ({"row": "dream"}, "'dream'"),
    ])  # fmt: skip
    def test_a_row_that_no_store_could_keep_is_named_before_anything_is_written(
        self, store: Store, file: Path, harm: dict[str, object], words: str
    ) -> None:
        row = next(iter(rows_of(2))) | harm
        file.write_text(lines_of([*rows_of(1), row]))
        with pytest.raises(BadBackup, match=re.escape(words)):
            restore(store, Backup.read(file), "otto")
        assert store.read().change is None
        assert list(store.dump()) == []

    def test_versions_in_disorder_are_refused(self, file: Path) -> None:
        file.write_text(lines_of([*rows_of(2), *rows_of(1)]))
        with pytest.raises(BadBackup, match="version 1 comes after 2"):
            Backup.read(file)

    def test_fields_of_a_later_version_are_ignored(self, store: Store, file: Path) -> None:
        file.write_text(lines_of([row | {"mood": "fine"} for row in rows_of(1)]))
        assert restore(store, Backup.read(file), "otto").version == 2

    @pytest.mark.parametrize("line", ["[" * 200_000, '{"crossfade":' * 200_000])
    def test_what_is_nested_too_deeply_is_no_backup_in_a_sentence(self, file: Path, line: str) -> None:
        file.write_text(line + "\n")
        with pytest.raises(BadBackup, match="nested too deeply"):
            Backup.read(file)

    def test_a_time_that_no_calendar_has_is_refused(self, file: Path) -> None:
        file.write_text(lines_of(rows_of(1), at=1e15))
        with pytest.raises(BadBackup, match="no backup"):
            Backup.read(file)


class TestRestore:
    def test_an_empty_store_never_holds_the_ramp_as_it_ran(
        self, store: Store, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However soon the restore is ended after its first change is there to be obeyed."""
        with closing(open_store(f"sqlite:///{tmp_path}/from.db")) as other:
            filled(other)
            back_up(other, file, "there", force=False)

        def ended(*words: object) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr(store, "write", ended)
        with suppress(KeyboardInterrupt):
            restore(store, Backup.read(file), "otto")
        newest = store.read().change
        assert newest is None or newest.state.ramps["yolo26"].paused

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


def made(version: int, at: float, who: str = "anna", **state: Any) -> Change:
    return Change.made(None, RolloutState(version=version, **state), who=who, reason="", at=at)


def kept_in(file: Path, *changes: Change) -> Backup:
    file.write_text(lines_of([{"row": "change"} | change.to_table() for change in changes]))
    return Backup.read(file)


PINNED, RAMPED = {"gate": "triton"}, {"overrides": {"yolo26": 0.0}, "ramps": {"yolo26": RAMP}}
BY_EVIDENCE = {"yolo26": replace(RAMP, phase="ended", rolled_back=True)}


class TestWhatWasTakenFromTriton:
    @pytest.mark.parametrize(("kept", "since"), [
        ({"fraction": 0.5}, {"fraction": 0.5, "enabled": False}),
        ({"fraction": 0.5}, {"fraction": 0.5, "overrides": {"yolo26": 0.4}}),
        ({"fraction": 1.0}, {"fraction": 1.0, "pins": {"gate": "legacy"}}),
        ({"fraction": 0.5, "pins": PINNED}, {"fraction": 0.5}),
        ({"pins": PINNED}, {"pins": PINNED, "pins_suspended": True}),
        ({"pins": PINNED, **RAMPED}, {"pins": PINNED, **RAMPED, "ramps": BY_EVIDENCE}),
        ({"shadow": 1.0}, {}),
    ])  # fmt: skip
    def test_does_not_come_back_unasked(
        self, store: Store, file: Path, kept: dict[str, Any], since: dict[str, Any]
    ) -> None:
        backup = kept_in(file, made(1, 1000.0, **kept))
        assert store.write(made(1, 1000.0, **kept), None)
        assert store.write(made(2, 2000.0, "otto", **since), 1)
        with pytest.raises(WouldGiveMore, match=r"version 2, .* by otto"):
            restore(store, backup, "anna", may_give_more=False)
        assert store.read().change.version == 2  # type: ignore[union-attr]
        assert restore(store, backup, "anna").version == 3

    @pytest.mark.parametrize(("kept", "since"), [
        ({"fraction": 0.5, "shadow": 1.0, "pins": PINNED, "enabled": False}, {"enabled": False}),
        ({"fraction": 0.5}, {"fraction": 0.5, "overrides": {"yolo26": 0.9}}),
        ({"fraction": 1.0, "pins": PINNED}, {"fraction": 1.0}),
        ({"pins": {"gate": "legacy"}, "shadow": 0.1}, {"pins": PINNED, "shadow": 0.2}),
    ])  # fmt: skip
    def test_what_gives_it_nothing_more_needs_no_further_word(
        self, store: Store, file: Path, kept: dict[str, Any], since: dict[str, Any]
    ) -> None:
        backup = kept_in(file, made(1, 1000.0, **kept))
        assert store.write(made(1, 1000.0, **kept), None)
        assert store.write(made(2, 2000.0, "otto", **since), 1)
        assert restore(store, backup, "anna", may_give_more=False).version == 3

    def test_a_store_that_began_anew_counts_though_its_versions_are_lower(
        self, store: Store, file: Path
    ) -> None:
        backup = kept_in(file, made(20, 1000.0, fraction=0.5))
        assert store.write(made(1, 5000.0), None)
        assert store.write(made(2, 6000.0, "otto", enabled=False), 1)
        with pytest.raises(WouldGiveMore, match=r"version 2, .* by otto"):
            restore(store, backup, "anna", may_give_more=False)

    def test_a_rollback_that_nobody_heard_of_counts_though_the_backup_is_younger(
        self, store: Store, file: Path
    ) -> None:
        owed = made(2, 1000.0, "otto")
        before, after = RolloutState(version=2, fraction=0.1), RolloutState(version=3, fraction=0.5)
        by_ramp = Change.made(before, after, who="ramp", reason="", at=2000.0)
        backup = kept_in(file, made(2, 900.0, fraction=0.1), by_ramp)
        with pytest.raises(WouldGiveMore, match=r"version 2, .* by otto"):
            restore(store, backup, "anna", owed=[owed], may_give_more=False)
        backup = kept_in(file, made(2, 900.0, fraction=0.1), replace(by_ramp, who="anna"))
        assert restore(store, backup, "anna", owed=[owed], may_give_more=False).state.fraction == 0.5


class TestCommand:
    @pytest.fixture(autouse=True)
    def no_journal_of_this_machine(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """What a backend that was started in this folder wrote may forbid a restore."""
        monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path))

    def crossfade(self, *words: str) -> object:
        """Its exit code."""
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
        assert "4 rows" in capsys.readouterr().out
        changed(store, fraction=1.0)
        assert self.crossfade("store", "backup", str(file)) == 1
        assert "--force" in capsys.readouterr().err
        assert self.crossfade("store", "restore", str(file)) == 0
        said = capsys.readouterr().out
        assert "fraction 30.00%" in said
        assert "paused: the ramp of yolo26" in said
        assert store.read().change.state.fraction == 0.3  # type: ignore[union-attr]

    def test_a_containers_user_may_have_no_name(
        self, url: str, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody(uid: int) -> object:
            raise KeyError(f"getpwuid(): uid not found: {uid}")

        filled(store)
        back_up(store, file, "here", force=False)
        monkeypatch.setenv("ROLLOUT_STORE", url)
        monkeypatch.setattr(pwd, "getpwuid", nobody)
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(name, raising=False)
        assert self.crossfade("store", "restore", str(file)) == 0
        assert store.read().change.who == f"uid-{os.getuid()}"  # type: ignore[union-attr]

    def test_what_the_journal_saw_last_counts_beside_its_highest_version(
        self, url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        """The store was lost twice."""
        kept_in(file, made(20, 1000.0, fraction=0.5))
        journal = Journal(tmp_path / "rollout-history.jsonl", store_name(url))
        for change in (made(20, 1000.0, fraction=0.5), made(2, 6000.0, "otto", enabled=False)):
            journal.append(change)
        monkeypatch.setenv("ROLLOUT_STORE", url)
        monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path))
        assert self.crossfade("store", "restore", str(file)) == 1
        assert "version 2, " in capsys.readouterr().err

    def test_what_would_leave_requests_to_nobody_is_not_restored(
        self, url: str, store: Store, file: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        filled(store)
        back_up(store, file, "here", force=False)
        monkeypatch.setenv("ROLLOUT_STORE", url)
        monkeypatch.setenv("LEGACY_ENABLED", "false")
        assert self.crossfade("store", "restore", str(file)) == 1
        assert "LEGACY_ENABLED=false leaves" in capsys.readouterr().err
        assert len(store.history(100)) == 2

    def test_to_keep_what_is_not_there_makes_no_store(
        self, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("ROLLOUT_STORE", f"sqlite:///{tmp_path}/nowhere/x.db")
        assert self.crossfade("store", "backup", str(file)) == 1
        assert f"There is no store at {tmp_path}/nowhere/x.db yet" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


class TestSetting:
    @pytest.mark.parametrize(("said", "meant"), [
        ("Redis://ops:S3CRET@h:6379/0", "redis://ops:S3CRET@h:6379/0"), ("REDISS://h", "rediss://h"),
        ("SQLite:///a/B.db", "sqlite:///a/B.db"), (" Memory: ", "memory:"),
    ])  # fmt: skip
    def test_its_kind_may_be_in_capitals(
        self, said: str, meant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROLLOUT_STORE", said)
        url = read_settings().store_url
        assert url == meant
        assert "S3CRET" not in store_name(url)

    @pytest.mark.parametrize("said", ["memory:", "Memory:", " MEMORY:"])
    def test_several_workers_never_have_a_store_each(
        self, said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROLLOUT_STORE", said)
        monkeypatch.setenv("WORKERS", "4")
        with pytest.raises(BadSetting, match="is one worker's own"):
            read_settings()

    def test_a_file_that_is_called_like_memory_is_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with (
            closing(open_store("sqlite:///:memory:")) as one,
            closing(open_store("sqlite:///:memory:")) as two,
        ):
            changed(one, fraction=0.5)
            assert two.read().change is not None

    @pytest.mark.parametrize("none", ["Redis://ops:S3CRET@h", "S3CRET", "redis:/:S3CRET@h", "MEMORY:", ""])
    def test_what_is_none_opens_none_and_has_no_name(self, none: str) -> None:
        for use in (open_store, store_name):
            with pytest.raises(BadSetting, match="none of sqlite:///PATH") as refused:
                use(none)
            assert "S3CRET" not in str(refused.value)

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
