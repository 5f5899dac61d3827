"""docs/operations.md: each procedure is gone through, and each command and path in it is there."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import shlex
import sqlite3
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from ai.triton import models
from ai.triton.client import Protocol
from ai.triton.embedded.settings import EmbeddedSettings
from backend import cli, doctor
from backend.rollout.journal import Journal
from backend.rollout.store import Sample, SampleLimits, Store, StoreAway
from backend.rollout.stores.opening import open_store, store_name
from backend.settings import Settings
from backend.stack.foreign_triton import examined
from benchmarks import daily_cost, upgrade
from tests import scripted
from tests.integration.test_rollout_workers import Process
from tests.redis_server import RedisServer, needs_redis, running_redis
from tests.rollout_house import House, until
from tests.tritons import RunningTriton, running_triton

pytestmark = [pytest.mark.beside, pytest.mark.usefixtures("nothing_said_of_flags")]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
KINDS = ["sqlite", pytest.param("redis", marks=needs_redis)]
LAST_BEFORE = upgrade.before_there_was("monitoring/prometheus.yml")


class Machine:
    """One with a store that can be lost, and the command."""

    def __init__(self, folder: Path, server: RedisServer | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.house = House(folder, server.url if server else "")
        self.url = self.house.store_url or f"sqlite:///{self.house.db}"
        monkeypatch.setenv("CROSSFADE_VAR", str(self.house.var))
        monkeypatch.setenv("ROLLOUT_STORE", self.url)

    @property
    def journal(self) -> Path:
        return self.house.var / "rollout-history.jsonl"

    def lose_the_store(self) -> None:
        if self.server:
            self.server.client().flushall()
        for path in self.house.var.glob("crossfade.db*"):
            path.unlink()

    def store(self) -> closing[Store]:  # type: ignore[type-var]
        return closing(open_store(self.url))

    def crossfade(self, *words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        return int(ended.value.code or 0)


@pytest.fixture(params=KINDS)
async def machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Machine]:
    if request.param == "sqlite":
        made = Machine(tmp_path / "machine", None, monkeypatch)
        yield made
        await made.house.close()
        return
    with running_redis(tmp_path / "redis") as server:
        made = Machine(tmp_path / "machine", server, monkeypatch)
        yield made
        await made.house.close()


class TestRestore:
    """The drill: a backup at 30 %, a rollback after it, and then the store is to come back."""

    @pytest.fixture
    async def backup(self, machine: Machine, tmp_path: Path) -> Path:
        worker = await machine.house.start()
        await worker.change({"fraction": 0.3}, who="anna", reason="certified", version=None)
        file = tmp_path / "kept.jsonl"
        assert machine.crossfade("store", "backup", str(file)) == 0
        await worker.rollback(who="otto", reason="dogs are missed")
        await machine.house.stop(worker)
        return file

    async def test_over_a_store_with_content_the_rollback_stays_and_its_maker_is_named(
        self, machine: Machine, backup: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert machine.crossfade("store", "restore", str(backup)) == 1
        said = capsys.readouterr().err
        assert "by otto (dogs are missed). Nothing was restored. --give-triton-more" in said
        with machine.store() as store:
            newest = store.read().change
        assert newest is not None
        assert (newest.who, newest.state.fraction) == ("otto", 0)

    async def test_where_the_store_is_lost_the_journal_keeps_it(
        self, machine: Machine, backup: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.lose_the_store()
        assert machine.crossfade("store", "restore", str(backup)) == 1
        assert "by otto (dogs are missed)" in capsys.readouterr().err
        worker = await machine.house.start()
        assert (await worker.read()).fraction == 0
        assert (await worker.read()).pins_suspended

    @pytest.mark.parametrize("lost", [False, True])
    async def test_who_says_so_gets_it_back_over_what_the_journal_knows(
        self, machine: Machine, backup: Path, lost: bool
    ) -> None:
        if lost:
            machine.lose_the_store()
        assert machine.crossfade("store", "restore", str(backup), "--give-triton-more") == 0
        worker = await machine.house.start()
        assert (await worker.read()).fraction == 0.3
        newest, *earlier = await worker.history()
        assert newest.reason.startswith("restored from kept.jsonl")
        assert newest.before is not None
        assert newest.before["fraction"] == 0  # what it undid is on record
        assert newest.version > max(change.version for change in earlier)

    async def test_a_rollback_that_the_store_never_heard_of_stays_as_well(
        self, machine: Machine, backup: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with machine.store() as store:
            last = store.read().change
            assert last is not None
            given = last.state.to_table() | {"version": 4, "fraction": 0.3}
            more = type(last)(4, last.at - 1, "anna", "again", last.after, given)
            assert store.write(more, last.version)
        owed = type(last)(4, last.at + 60, "otto", "store is away", given, {**last.after, "version": 4})
        Journal(machine.journal, store_name(machine.url)).append(owed, owed=True)
        assert machine.crossfade("store", "restore", str(backup)) == 1
        assert "by otto (store is away)" in capsys.readouterr().err

    async def test_without_the_journal_nobody_knows_of_it(self, machine: Machine, backup: Path) -> None:
        """The control, and why the page says to keep the journal too."""
        machine.lose_the_store()
        machine.journal.unlink()
        assert machine.crossfade("store", "restore", str(backup)) == 0
        with machine.store() as store:
            assert store.read().change.state.fraction == 0.3  # type: ignore[union-attr]

    async def test_less_for_triton_needs_no_further_word(self, machine: Machine, tmp_path: Path) -> None:
        worker = await machine.house.start()
        file = tmp_path / "kept.jsonl"
        assert machine.crossfade("store", "backup", str(file)) == 0
        await worker.change({"fraction": 0.9}, who="anna", reason="", version=None)
        assert machine.crossfade("store", "restore", str(file)) == 0
        await until(lambda: worker.flags.view.state is not None and worker.flags.view.state.fraction == 0.1)


@needs_redis
async def test_a_machine_moves_from_sqlite_to_redis_with_its_history_and_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_redis(tmp_path / "redis") as server:
        old = Machine(tmp_path / "machine", None, monkeypatch)
        worker = await old.house.start()
        await worker.change({"fraction": 0.4}, who="anna", reason="on the way", version=None)
        with old.store() as store:
            about = Sample(
                "a", time.time(), "yolo26", "gate", "", "day", "1", ("missed",), ("person",), (), (), 9, 9
            )
            store.add_sample(about, b"\xff\xd8 a face", SampleLimits(9, 10_000, 1e6))
        await old.house.stop(worker)
        file = tmp_path / "moving.jsonl"
        assert old.crossfade("store", "backup", str(file)) == 0
        assert b64encode(b"\xff\xd8 a face") in file.read_bytes()  # the page says so: backups hold pictures
        monkeypatch.setenv("ROLLOUT_STORE", server.url)
        assert old.crossfade("store", "restore", str(file)) == 0
        moved = House(tmp_path / "machine", server.url)
        there = await moved.start()
        assert [change.who for change in await there.history()][1:] == ["anna", "environment"]
        assert (await there.read()).fraction == 0.4
        assert await there.ask(lambda store: store.picture("a")) == b"\xff\xd8 a face"
        await moved.close()


@needs_redis
@pytest.mark.parametrize("heard", [True, False], ids=["told", "owed"])
async def test_a_move_to_another_store_gives_back_nothing_of_what_a_rollback_took_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], heard: bool
) -> None:
    with running_redis(tmp_path / "redis") as server:
        old = Machine(tmp_path / "machine", None, monkeypatch)
        worker = await old.house.start()
        await worker.change({"fraction": 0.4}, who="anna", reason="on the way", version=None)
        file = tmp_path / "moving.jsonl"
        assert old.crossfade("store", "backup", str(file)) == 0
        if not heard:
            old.house.break_store()
        with suppress(StoreAway):
            await worker.rollback(who="otto", reason="dogs are missed")
        await old.house.stop(worker)
        monkeypatch.setenv("ROLLOUT_STORE", server.url)
        assert old.crossfade("store", "restore", str(file)) == 1
        assert "by otto (dogs are missed)" in capsys.readouterr().err
        assert old.crossfade("store", "restore", str(file), "--give-triton-more") == 0


class TestNewerAndOlder:
    """Without any history of this repository: what a version to come may do to a store, and this one beside it."""

    async def test_this_version_goes_on_beside_one_that_added_tables(self, tmp_path: Path) -> None:
        house = House(tmp_path / "machine")
        worker = await house.start()
        with closing(sqlite3.connect(house.db, isolation_level=None)) as newer:
            newer.execute("CREATE TABLE moods (version INTEGER PRIMARY KEY, mood TEXT)")
            newer.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
            await worker.change({"fraction": 0.2}, who="anna", reason="", version=None)
            assert newer.execute("SELECT max(version) FROM changes").fetchone() == (2,)
        await house.stop(worker)
        again = await house.start("b")  # the upgrade rolled back: it opens the newer file
        assert (await again.read()).fraction == 0.2
        with closing(sqlite3.connect(house.db)) as left:
            assert left.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == ("3",)
        await house.close()

    async def test_one_that_it_must_not_touch_leaves_it_at_the_last_good_state(self, tmp_path: Path) -> None:
        house = House(tmp_path / "machine")
        worker = await house.start()
        await worker.change({"fraction": 0.2}, who="anna", reason="", version=None)
        with closing(sqlite3.connect(house.db, isolation_level=None)) as newer:
            newer.execute("PRAGMA user_version = 2")
            newer.execute("UPDATE meta SET value = '4'")
        await house.stop(worker)
        again = await house.start("b")
        assert again.stale
        assert again.flags.view.state is not None
        assert again.flags.view.state.fraction == 0.2  # the journal's
        await house.close()

    @needs_redis
    async def test_so_with_redis(self, tmp_path: Path) -> None:
        with running_redis(tmp_path / "redis") as server:
            house = House(tmp_path / "machine", server.url)
            worker = await house.start()
            await worker.change({"fraction": 0.2}, who="anna", reason="", version=None)
            await house.stop(worker)
            client = server.client()
            (key,) = [key for key in client.scan_iter() if key.endswith(b"schema")]
            client.set(key, 2)
            again = await house.start("b")
            assert again.stale
            assert again.flags.view.state is not None
            assert again.flags.view.state.fraction == 0.2
            await house.close()


@pytest.mark.skipif(not LAST_BEFORE, reason="this clone has no history (git fetch --unshallow)")
def test_two_versions_of_the_whole_backend_share_a_store_up_and_down_again() -> None:
    seen: list[str] = []
    with upgrade.two_versions(LAST_BEFORE, "sqlite") as (before, after):
        upgrade.trial(before, after, seen.append)
    assert len(seen) == 10


async def test_on_a_full_disk_a_rollback_is_obeyed_and_told_to_the_store_later(tmp_path: Path) -> None:
    """Nothing can be written any more, by the worker's own process: not the store, not the journal."""
    house = House(tmp_path / "machine")
    worker = await Process.started(house, "a")
    pid = worker._process.pid
    await worker.told("set", "1.0")
    while (await worker.told("attempts"))["attempts"] == 0:
        await asyncio.sleep(0.02)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    said = await worker.told("rollback")
    assert "TRITON_ENABLED=false" in said["away"]
    before = await worker.told("attempts")
    assert (await worker.told("attempts"))["attempts"] == before["attempts"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    await until(lambda: house.who()[-1] == "test" and _fraction(house) == 0)
    await worker.ended()


def _fraction(house: House) -> float:
    with closing(open_store(f"sqlite:///{house.db}")) as store:
        change = store.read().change
        assert change is not None
        return change.state.fraction


def test_a_day_is_weighed_in_bytes_and_log_sample_lessens_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(daily_cost, "SCRAPED_SERIES", 20)  # a tenth of a second of promtool's

    assert daily_cost.main(["--json", "--requests-per-s", "10", "--log-sample", "0.01"]) == 0
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    lines = found["log, json"]["per_day"]
    assert lines == pytest.approx(864_000 * (0.001 + 0.999 * 0.01))
    assert 200 < found["log, text"]["bytes_each"] < found["log, json"]["bytes_each"] < 700
    named = PAGE.read_text()
    for what, figure in (("log, json", "435"), ("log, text", "264")):  # the page says what is measured
        assert found[what]["bytes_each"] == pytest.approx(float(figure), rel=0.1)
        assert f"| {figure} a line |" in named
    assert found["store: history"]["bytes_each"] > found["journal"]["bytes_each"] > 1000


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    scripted.jpeg(repository, scripted.LONE)
    with running_triton(repository) as server:
        yield server
        server.kill()


class TestForeignTriton:
    @pytest.mark.parametrize("protocol", ["grpc", "http"])
    def test_each_call_of_our_client_is_made_and_told(
        self, triton: RunningTriton, protocol: Protocol
    ) -> None:
        found = examined(
            triton.grpc_url if protocol == "grpc" else triton.http_url, protocol, [scripted.LONE]
        )
        assert [one.about for one in found] == ["client", "server", "extensions", *[scripted.LONE] * 4]
        assert [one for one in found if not one.well] == []
        assert found[1].words == "triton 2.51.0"
        assert "1 detections" in found[5].words

    def test_a_model_that_is_not_there_and_a_port_of_another_kind_fail_in_words(
        self, triton: RunningTriton
    ) -> None:
        for target, names in ((triton.grpc_url, ["nobody"]), (triton.http_url, [])):
            *_, last = examined(target, "grpc", names)
            assert not last.well
            assert last.words


class TestPage:
    """What is written there can be typed."""

    TEXT = PAGE.read_text()
    LINES = tuple(
        line.strip()
        for block in re.findall(r"^```\w*\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    )
    PARSERS: ClassVar[dict[str, Callable[[list[str]], object]]] = {
        "models": models.parser().parse_args,
        "doctor": doctor.parser().parse_args,
    }

    def commands(self, program: str) -> list[list[str]]:
        """The words behind the program; assignments before it are taken away."""
        found = [shlex.split(re.sub(r"^(\w+=\S+ +)+", "", line), comments=True) for line in self.LINES]
        return [words[1:] for words in found if words and words[0] == program]

    def test_there_are_commands_and_all_of_kinds_that_are_looked_at(self) -> None:
        programs = {re.sub(r"^(\w+=\S+ +)+", "", line).split()[0] for line in self.LINES}
        assert {"crossfade", ".venv/bin/python"} <= programs
        assert programs <= {
            "crossfade",
            ".venv/bin/python",
            ".venv/bin/pytest",
            "make",
            "cp",
            "rm",
            "chmod",
            "sqlite3",
        }

    def test_each_crossfade_command_is_one(self) -> None:
        assert len(self.commands("crossfade")) > 10
        for words in self.commands("crossfade"):
            self.PARSERS.get(words[0], lambda rest, first=words[0]: cli.parser().parse_args([first, *rest]))(
                words[1:]
            )

    def test_a_command_that_is_none_would_be_found(self) -> None:
        for wrong in (["store", "burn"], ["store", "backup", "--quickly", "x"]):
            with pytest.raises(SystemExit):
                cli.parser().parse_args(wrong)

    def test_each_module_and_target_is_there(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {words[0] for words in self.commands("make")} <= targets
        for words in self.commands(".venv/bin/python"):
            assert words[0] == "-m"
            assert (ROOT / f"{words[1].replace('.', '/')}.py").exists(), words
        parse = {"benchmarks.daily_cost": daily_cost.main, "benchmarks.upgrade": upgrade.main}
        for words in self.commands(".venv/bin/python"):
            with pytest.raises(SystemExit) as ended:
                parse[words[1]]([*words[2:], "--help"])
            assert ended.value.code == 0

    def test_each_path_is_there(self) -> None:
        linked = [PAGE.parent / path for path in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", self.TEXT)]
        named = re.findall(r"`((?:backend|tests|ai|deploy|benchmarks|docs|monitoring)/[\w./-]+)`", self.TEXT)
        assert len(named) > 10
        missing = [
            str(path) for path in (*linked, *map(partial(Path.joinpath, ROOT), named)) if not path.exists()
        ]
        assert missing == []

    def test_each_test_that_it_names_is_there(self) -> None:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", self.TEXT):
            assert name in (ROOT / path).read_text(), name

    def test_each_setting_in_it_is_one(self) -> None:
        known = {field.upper() for tree in (Settings, EmbeddedSettings) for field in tree.model_fields}
        for name in set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", self.TEXT)) - {"CAP_SYS_TIME"}:
            assert name in known, name
