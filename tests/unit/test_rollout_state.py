"""What the flags may say, and what of it survives: the state, the journal, and what the environment says."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.rollout.environment import EnvironmentWatch, LastSeen, Said
from backend.rollout.journal import Journal
from backend.rollout.locked import locked
from backend.rollout.patching import changed
from backend.rollout.ramps import Ramp
from backend.rollout.state import InvalidState, RolloutState
from backend.rollout.store import Change
from backend.settings import WATCHED

fractions = st.floats(0, 1)
names = st.text(min_size=1, max_size=20)
states = st.builds(
    RolloutState,
    version=st.integers(0, 10**9),
    enabled=st.booleans(),
    fraction=fractions,
    shadow=fractions,
    overrides=st.dictionaries(names, fractions, max_size=5),
    pins=st.dictionaries(names, st.sampled_from(["legacy", "triton"]), max_size=5),
    pins_suspended=st.booleans(),
)


def change(version: int, at: float = 0.0, **state: Any) -> Change:
    return Change.made(None, RolloutState(version=version, **state), who="anna", reason="a try", at=at)


class TestState:
    @given(states)
    def test_it_survives_json(self, state: RolloutState) -> None:
        assert RolloutState.from_json(state.to_json()) == state

    @given(states)
    def test_a_rollback_leaves_no_fraction_and_no_pin_to_triton(self, state: RolloutState) -> None:
        after = state.rolled_back()
        assert {after.fraction, after.shadow, *after.overrides.values()} == {0.0}
        assert all(after.pin_of(camera, "d") != "triton" for camera in after.pins)
        assert after.pins == state.pins  # suspended, not forgotten

    @pytest.mark.parametrize("wrong", [
        {"fraction": 1.1}, {"fraction": -0.1}, {"fraction": math.nan}, {"fraction": "0.5"}, {"fraction": True},
        {"shadow": math.inf}, {"enabled": 1}, {"pins_suspended": "no"}, {"version": -1}, {"version": 1.0},
        {"overrides": {"d": 2}}, {"overrides": {"": 0.5}}, {"overrides": [1]}, {"pins": {"gate": "gpu"}},
        {"pins": {"x" * 201: "legacy"}}, {"pins": None}, {"pins": {f"c{n}": "legacy" for n in range(10_001)}},
    ])  # fmt: skip
    def test_what_cannot_be_obeyed_is_refused_by_name(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidState, match=next(iter(wrong))):
            RolloutState.from_table(wrong)

    @given(st.text())
    def test_any_text_is_a_state_or_refused(self, text: str) -> None:
        try:
            RolloutState.from_json(text)
        except InvalidState:
            return
        assert isinstance(json.loads(text), dict)

    @pytest.mark.parametrize("wrong", [{"pins": {"porch": "x" * 10**6}}, {"pins": {"x" * 10**6: "legacy"}}])
    def test_what_is_refused_is_not_repeated_as_a_whole(self, wrong: dict[str, Any]) -> None:
        """The sentence goes into the log, and into answers, for as long as the store holds such a state."""
        with pytest.raises(InvalidState) as refused:
            RolloutState.from_table(wrong)
        assert len(str(refused.value)) < 300

    def test_fields_of_a_later_version_are_ignored(self) -> None:
        assert RolloutState.from_table({"fraction": 0.5, "colour": "red"}).fraction == 0.5


class TestByHand:
    """A state with a ramp at 50 %, one that was rolled back, and a detector that never had one."""

    running = Ramp("r1", (0.1, 0.5, 1.0), "running", 1, 3)
    ended = Ramp("r2", (0.1, 1.0), "ended", 0, 2, ended="rolled back", rolled_back=True)
    state = RolloutState(
        version=5,
        fraction=0.3,
        overrides={"on": 0.5, "back": 0.0, "other": 0.9},
        ramps={"on": running, "back": ended},
    )

    def by(self, **patch: Any) -> RolloutState:
        return changed(self.state, patch, "ops", 7.0)

    @pytest.mark.parametrize("fraction", [0.0, 0.3])
    def test_the_common_fraction_takes_back_what_a_ramp_gave_beyond_it(self, fraction: float) -> None:
        after = self.by(fraction=fraction)
        assert after.overrides == {"back": 0.0, "other": 0.9}
        assert after.fraction_of("on") == fraction

    @pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.8])
    def test_and_pauses_every_ramp_that_is_on_whatever_it_is(self, fraction: float) -> None:
        ramp = self.by(fraction=fraction).ramps["on"]
        assert (ramp.paused, ramp.tries, ramp.step_at) == ("ops changed the flags by hand", 4, 7.0)
        assert self.by(fraction=fraction).ramps["back"] == self.ended

    def test_a_higher_one_raises_no_detector_that_was_rolled_back(self) -> None:
        after = self.by(fraction=1.0)
        assert (after.overrides, after.is_rolled_back("back")) == (self.state.overrides, True)

    def test_what_an_ended_ramp_left_is_taken_back_too(self) -> None:
        earned = replace(self.state, ramps={"on": self.running.over("aborted")})
        after = changed(earned, {"fraction": 0.0}, "ops", 7.0)
        assert (after.fraction_of("on"), after.ramps) == (0.0, earned.ramps)

    def test_overrides_that_are_set_in_the_same_breath_stand(self) -> None:
        after = self.by(fraction=0.0, overrides={"on": 0.5})
        assert after.overrides == {"on": 0.5}
        assert after.ramps["on"].paused

    def test_other_words_leave_fractions_and_ramps_alone(self) -> None:
        after = self.by(shadow=0.2)
        assert (after.overrides, after.ramps) == (self.state.overrides, self.state.ramps)

    def test_pins_that_are_given_back_are_those_of_rolled_back_detectors_too(self) -> None:
        assert self.by(pins_suspended=False).ramps["back"].rolled_back is False
        assert self.by(pins={"gate": "triton"}).ramps["back"].rolled_back is True

    def test_a_ramp_from_before_it_was_noted_was_not_rolled_back(self) -> None:
        table = self.ended.to_table()
        del table["rolled_back"]
        assert Ramp.from_table(table) == replace(self.ended, rolled_back=False)


class TestJournal:
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return Journal(tmp_path / "var" / "history.jsonl")

    def test_the_newest_is_found_again(self, journal: Journal) -> None:
        assert journal.newest() is None
        for entry in (change(1), change(3, 1.0, fraction=0.5), change(2)):
            journal.append(entry)
        assert journal.newest() == change(3, 1.0, fraction=0.5)

    def test_of_two_with_one_version_the_later_counts(self, journal: Journal) -> None:
        journal.append(change(3, 5.0))
        journal.append(change(3, 4.0, fraction=0.5))
        assert journal.newest() == change(3, 5.0)

    def test_what_several_workers_saw_stands_there_once(self, journal: Journal, tmp_path: Path) -> None:
        for worker in (journal, Journal(tmp_path / "var" / "history.jsonl")):
            worker.append(change(1))
        assert len((tmp_path / "var" / "history.jsonl").read_text().splitlines()) == 1

    @pytest.mark.parametrize("cut", [1, 20, 150])
    def test_a_torn_last_line_costs_only_itself(self, journal: Journal, tmp_path: Path, cut: int) -> None:
        journal.append(change(1))
        journal.append(change(2))
        path = tmp_path / "var" / "history.jsonl"
        os.truncate(path, path.stat().st_size - 1 - cut)
        assert journal.newest() == change(1)
        journal.append(change(3))
        assert journal.newest() == change(3)

    @given(rubbish=st.binary(max_size=200))
    def test_rubbish_in_it_harms_nobody(
        self, rubbish: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("j") / "history.jsonl"
        path.write_bytes(rubbish)
        journal = Journal(path)
        journal.append(change(4))
        assert journal.newest() == change(4)

    def test_a_line_that_holds_no_state_is_passed_over(self, journal: Journal, tmp_path: Path) -> None:
        journal.append(change(1))
        wrong = change(9).to_table() | {"after": {"version": 9, "fraction": 7}}
        with (tmp_path / "var" / "history.jsonl").open("a") as file:
            file.write(f"{json.dumps(wrong)}\n[1]\nnull\n")
        assert journal.newest() == change(1)

    def test_it_does_not_grow_without_end_and_keeps_the_newest(self, tmp_path: Path) -> None:
        path = tmp_path / "history.jsonl"
        journal = Journal(path, max_bytes=4_000, kept_bytes=1_000)
        sizes = []
        for version in range(1, 101):
            journal.append(change(version))
            sizes.append(path.stat().st_size)
        assert max(sizes) <= 4_000
        assert journal.newest() == change(100)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_state_over_the_bound_is_kept_all_the_same(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "history.jsonl", max_bytes=100, kept_bytes=50)
        journal.append(change(1))
        journal.append(change(2))
        assert journal.newest() == change(2)

    def test_it_says_when_somebody_wrote(self, journal: Journal, tmp_path: Path) -> None:
        assert not journal.grew()
        Journal(tmp_path / "var" / "history.jsonl").append(change(1))
        assert [journal.grew(), journal.grew()] == [True, False]


class TestLocked:
    def test_one_at_a_time_and_the_second_does_not_wait_for_ever(self, tmp_path: Path) -> None:
        with locked(tmp_path / "lock", 0.1), pytest.raises(TimeoutError), locked(tmp_path / "lock", 0.02):
            pass
        with locked(tmp_path / "lock", 0.02):
            pass

    def test_who_waited_for_a_lock_that_was_deleted_meanwhile_takes_the_one_that_is_there(
        self, tmp_path: Path
    ) -> None:
        path, entered = tmp_path / "lock", threading.Event()

        def wait() -> None:
            with locked(path, 10):
                entered.set()

        waiting = threading.Thread(target=wait)
        with locked(path, 0.1):
            waiting.start()
            time.sleep(0.1)
            path.unlink()
            other = os.open(path, os.O_RDWR | os.O_CREAT)
            fcntl.flock(other, fcntl.LOCK_EX)
        assert not entered.wait(0.2)
        os.close(other)
        assert entered.wait(10)
        waiting.join(10)

    def test_a_lock_that_is_deleted_again_and_again_is_waited_for_no_longer_than_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, real = tmp_path / "lock", fcntl.flock

        def flock(descriptor: int, how: int) -> None:
            real(descriptor, how)
            path.unlink()

        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(TimeoutError, match="deleted again and again"), locked(path, 0.05):
            pass


class Looked:
    """A watch on a file, looked at as often as told, by a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.watch = EnvironmentWatch(path, 1.0, lambda: self.now)
        self.watch.first_look()

    def after(self, text: str | bytes | None, looks: int = 2) -> Said:
        if text is None:
            self.path.unlink()
        else:
            self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self.after_looks(looks)

    def after_looks(self, looks: int) -> Said:
        for _ in range(looks):
            self.now += 1.0
            self.watch.look()
        return self.watch.said


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WATCHED:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.1\n")
    return path


@pytest.fixture
def denied(env: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on nobody may read the file, as after root wrote it under a umask of 077; root itself may, always."""

    def deny() -> None:
        env.chmod(0)
        if os.getuid() == 0:
            monkeypatch.setattr(Path, "read_bytes", _refuse)

    return deny


def _refuse(path: Path) -> bytes:
    """What stands there now may be read again: it has a mode."""
    if not path.stat().st_mode & 0o444:
        raise PermissionError(13, "Permission denied", str(path))
    with path.open("rb") as file:
        return file.read()


class TestEnvironment:
    @pytest.mark.parametrize(("own", "file", "thrown"), [
        (None, None, True), ("true", None, False), (None, "true", False), ("true", "true", False),
        ("false", "true", True), ("true", "false", True), ("false", "false", True), ("false", None, True),
        (None, "0", True), (None, "off", True), (None, "'yes'", False), (None, "ON", False),
    ])  # fmt: skip
    def test_either_source_can_throw_the_switch_and_none_can_hide_the_other(
        self, monkeypatch: pytest.MonkeyPatch, env: Path, own: str | None, file: str | None, thrown: bool
    ) -> None:
        if own is not None:
            monkeypatch.setenv("TRITON_ENABLED", own)
        env.write_text("" if file is None else f"TRITON_ENABLED={file}\n")
        assert Looked(env).watch.said.kill_switch is thrown

    def test_the_environments_share_goes_before_the_files(
        self, monkeypatch: pytest.MonkeyPatch, env: Path
    ) -> None:
        monkeypatch.setenv("triton_traffic_fraction", "0.7")
        env.write_text("TRITON_TRAFFIC_FRACTION=0.1\nexport TRITON_SHADOW_FRACTION=0.2\n")
        assert Looked(env).watch.said.shares == {"fraction": 0.7, "shadow": 0.2}

    def test_a_share_that_the_environment_hides_is_told_and_one_that_agrees_is_not(
        self, monkeypatch: pytest.MonkeyPatch, env: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("TRITON_TRAFFIC_FRACTION", "0.7")
        monkeypatch.setenv("TRITON_SHADOW_FRACTION", "0.2")
        looked = Looked(env)
        looked.after_looks(5)
        assert [record.getMessage() for record in caplog.records] == [
            f"{env}: TRITON_TRAFFIC_FRACTION=0.1 is not obeyed: this process's own variable, 0.7, goes before"
        ]
        looked.after("TRITON_TRAFFIC_FRACTION=0.7\nTRITON_SHADOW_FRACTION=0.3\n", looks=5)
        assert ["SHADOW_FRACTION=0.3" in record.getMessage() for record in caplog.records] == [False, True]

    def test_a_change_is_obeyed_by_its_content(self, env: Path) -> None:
        looked = Looked(env)
        stamp = env.stat()
        env.write_text("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.2\n")  # as long as before …
        os.utime(env, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # … and as old
        looked.now += 1
        looked.watch.look()
        assert looked.watch.look()
        assert looked.watch.said.fraction == 0.2

    def test_a_switch_is_thrown_at_the_first_look(self, env: Path) -> None:
        said = Looked(env).after("TRITON_ENABLED=false\nTRITON_TRAFFIC_FRACTION=0.", looks=1)
        assert (said.kill_switch, said.fraction) == (True, 0.1)

    @pytest.mark.parametrize(
        "half", ["", "TRITON_ENA", "TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0", None]
    )
    def test_a_file_that_is_being_written_changes_nothing(self, env: Path, half: str | None) -> None:
        looked = Looked(env)
        before = looked.watch.said
        assert looked.after(half, looks=1) == before
        assert looked.after("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.1\n") == before

    def test_a_file_that_is_written_all_the_time_is_obeyed_when_that_has_ended(self, env: Path) -> None:
        """However often it is found half written in the same place."""
        looked = Looked(env)
        for moment in range(5):
            half = looked.after("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.", looks=1)
            os.utime(env, ns=(moment, moment))
            assert (half.kill_switch, half.fraction) == (False, 0.1)
        whole = looked.after("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.9\n")
        assert whole.fraction == 0.9

    def test_a_switch_that_was_thrown_stays_so_while_the_file_is_written_all_the_time(
        self, env: Path
    ) -> None:
        looked = Looked(env)
        said = [
            looked.after(text, looks=1) for text in ("TRITON_ENABLED=false\n", "", "TRITON_ENA", "TRITON_E")
        ]
        assert [one.kill_switch for one in said] == [True] * 4
        assert not looked.after("TRITON_ENABLED=true\n").kill_switch

    def test_a_pipe_that_nobody_writes_to_is_not_waited_for(self, env: Path) -> None:
        looked = Looked(env)
        before = looked.watch.said
        env.unlink()
        os.mkfifo(env)
        assert looked.after_looks(3) == before

    @pytest.mark.parametrize("nothing", ["", None])
    def test_a_file_that_stays_empty_or_away_says_nothing(self, env: Path, nothing: str | None) -> None:
        assert Looked(env).after(nothing) == Said(kill_switch=True)

    @pytest.mark.parametrize("rubbish", [b"\xff\xfe\x00T", b"TRITON_ENABLED=false\0", bytes(range(256))])
    def test_a_file_that_is_no_text_leaves_what_was_said(
        self, env: Path, rubbish: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        looked = Looked(env)
        before = looked.watch.said
        assert looked.after(rubbish, looks=9) == before
        assert len(caplog.records) == 1

    def test_a_file_that_may_not_be_read_has_thrown_the_switch_until_it_may(
        self, env: Path, denied: Callable[[], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        looked = Looked(env)
        before = looked.watch.said
        denied()
        assert looked.after_looks(1) == before  # a file that is being put in place
        assert looked.after_looks(5).kill_switch
        assert [record.getMessage().count("chmod 644") for record in caplog.records] == [1]
        env.unlink()
        assert looked.after("TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.1\n") == before

    def test_at_the_start_there_is_no_second_look_at_it(
        self, env: Path, denied: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRITON_ENABLED", "true")
        denied()
        assert Looked(env).watch.said.kill_switch

    def test_a_disk_that_fails_leaves_what_was_said(self, env: Path) -> None:
        looked = Looked(env)
        before = looked.watch.said
        env.unlink()
        env.mkdir()  # an OSError that no permission would mend
        assert looked.after_looks(5) == before

    def test_a_file_that_cannot_be_read_at_the_start_may_have_thrown_the_switch(
        self, env: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRITON_ENABLED", "true")
        env.write_bytes(b"\xff")
        looked = Looked(env)
        assert looked.watch.said.kill_switch
        assert not looked.after("# nothing to say\n").kill_switch

    @pytest.mark.parametrize("first", ["true", "false"])
    @pytest.mark.parametrize("word", ["maybe", "", "2", "tru"])
    def test_a_switch_that_cannot_be_read_stays_where_it_was(
        self, env: Path, first: str, word: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        env.write_text(f"TRITON_ENABLED={first}\n")
        looked = Looked(env)
        with caplog.at_level(logging.WARNING):
            assert looked.after(f"TRITON_ENABLED={word}\n", looks=5).kill_switch is (first == "false")
        assert [record.getMessage().count("TRITON_ENABLED") for record in caplog.records] == [1]

    def test_it_knows_when_the_file_has_moved_on(self, env: Path) -> None:
        looked = Looked(env)
        assert looked.watch.is_current()
        looked.after("TRITON_ENABLED=false\n", looks=1)
        assert not looked.watch.is_current()
        looked.after_looks(1)
        assert looked.watch.is_current()

    @pytest.mark.parametrize("word", ["nan", "1.5", "-1", "much"])
    def test_a_share_that_cannot_be_read_stays_where_it_was(self, env: Path, word: str) -> None:
        said = Looked(env).after(f"TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION={word}\n")
        assert said == Said(kill_switch=False, fraction=0.1)


class TestLastSeen:
    def test_it_remembers_what_is_no_longer_said(self, tmp_path: Path) -> None:
        seen = LastSeen(tmp_path / "run" / "seen.json")
        with seen.held():
            assert seen.read() is None
            seen.write({"fraction": 0.1})
            seen.write({"shadow": 0.2})
            assert seen.read() == {"fraction": 0.1, "shadow": 0.2}
        assert stat.S_IMODE((tmp_path / "run" / "seen.json").stat().st_mode) == 0o600

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"fraction": "x"}', "\udcff"])
    def test_a_torn_file_is_as_if_nothing_was_seen(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "seen.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert LastSeen(tmp_path / "seen.json").read() is None
