"""What the commands show: drawn and coloured on a real terminal, the same words in plain lines for a pipe."""

from __future__ import annotations

import io

import pytest

from ai.core.errors import CrossfadeError
from ai.terminal.ending import ended
from ai.terminal.live import LiveLine
from ai.terminal.progress import progress
from ai.terminal.words import Words, like
from backend.commands.statuses import MEANING, Status, status_of, worst_of
from backend.commands.terminal import colour, table, width
from backend.commands.words import tell
from backend.stack.backend_api import Away, NotAnswered
from tests.terminals import Terminal

RED = "\x1b[31m"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def terminal(monkeypatch):
    """One that has colours, sixty signs wide."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


class TestColours:
    def test_on_a_terminal_there_are_some(self, terminal):
        with terminal.everything():
            tell(colour("bad", "bad"))
        assert terminal.said() == f"{RED}bad\x1b[0m\r\n"

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_who_asks_for_none_gets_none(self, terminal, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        with terminal.everything():
            tell(colour("bad", "bad"), *table(("a",), [("b",)]))
        assert "\x1b" not in terminal.said()

    def test_in_a_pipe_there_are_none(self, capsys):
        tell(colour("bad", "bad"))
        assert capsys.readouterr().out == "bad\n"

    def test_a_name_cannot_steer_the_terminal(self, terminal):
        hostile = "a\x1b[2Jb\x1b]0;title\x07c"
        with terminal.everything():
            tell(hostile, colour(hostile, "good"), *table((), [(hostile, "1")]))
        said = terminal.said()
        assert "\x1b[2J" not in said
        assert "\x1b]0" not in said
        assert said.count("a?[2Jb?]0;title?c") == 3

    def test_a_colour_that_somebody_brought_along_does_not_reach_a_pipe(self, capsys):
        tell(f"{RED}name", *table((), [(f"{RED}name",)]), "\x1b\x1b[0m[31mname")
        assert "\x1b" not in capsys.readouterr().out


class TestTables:
    def test_columns_are_aligned_and_figures_stand_to_the_right(self):
        told = table(("class", "score"), [("person", "0.91"), ("car", "12.5")])
        assert told == ["class   score", "person   0.91", "car      12.5"]

    def test_coloured_cells_and_wide_letters_take_the_places_that_they_show(self, terminal):
        with terminal.everything():
            rows = table((), [(colour("犬", "good"), "x"), ("cat", "y")])
        assert rows[0].startswith("\x1b[32m犬")
        assert width(rows[0]) == width(rows[1]) == 6

    def test_without_headers_and_without_rows_there_is_nothing(self):
        assert table((), []) == []


class TestBars:
    def work(self, stream, clock, quiet=False):
        with progress("batch", 100, "pictures", stream=stream, clock=clock, quiet=quiet) as bar:
            for _ in range(100):
                clock.now_s += 0.5
                bar.advance()
            bar.note("12 errors")

    def test_on_a_terminal_a_bar_is_drawn_and_its_last_word_is_a_line(self, terminal):
        self.work(terminal.stream, Clock())
        said = terminal.said()
        assert "━" in said
        assert "100 of 100 pictures" in said
        assert said.endswith("batch: 100 of 100 pictures in 0:50, 2.0/s; 12 errors\r\n")

    def test_in_a_pipe_it_is_a_plain_line_each_ten_seconds(self):
        pipe = io.StringIO()
        self.work(pipe, Clock())
        told = pipe.getvalue().splitlines()
        assert told[0] == "batch: 20 of 100 pictures, 2.0/s, 0:40 left"
        assert len(told) == 6
        assert told[-1] == "batch: 100 of 100 pictures in 0:50, 2.0/s; 12 errors"
        assert "\x1b" not in pipe.getvalue()

    def test_a_terminal_that_cannot_be_drawn_on_is_a_pipe(self, terminal, monkeypatch):
        monkeypatch.setenv("TERM", "dumb")
        self.work(terminal.stream, Clock())
        said = terminal.said()
        assert "━" not in said
        assert "batch: 20 of 100 pictures" in said

    def test_quiet_says_nothing(self):
        pipe = io.StringIO()
        self.work(pipe, Clock(), quiet=True)
        assert pipe.getvalue() == ""

    def test_work_that_breaks_off_is_not_summed_up(self):
        pipe, clock = io.StringIO(), Clock()

        def broken_off() -> None:
            with progress("batch", 2, stream=pipe, clock=clock):
                clock.now_s = 5.0
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            broken_off()
        assert pipe.getvalue() == ""

    def test_lines_that_stay_are_told_beside_the_bar(self, terminal):
        with terminal.everything(), progress("build", 2, "models") as bar:
            bar.say("yolo26_jpeg: version 1 built", to=tell)
        before, line, _ = terminal.said().partition("yolo26_jpeg: version 1 built\r\n")
        assert line
        assert before.endswith("\x1b[2K"), "the bar was wiped away"

    def test_a_note_of_others_cannot_steer_the_terminal(self, terminal):
        with terminal.everything(), progress("batch", 2) as bar:
            bar.note("\x1b[2J[red]name[/red]")
        assert "?[2J[red]name[/red]" in terminal.said()

    def test_nobody_who_listens_ends_no_work(self, tmp_path):
        stream = (tmp_path / "closed").open("w")
        stream.close()
        self.work(stream, Clock())


class TestLiveLines:
    def test_on_a_terminal_it_is_written_over_and_cut_to_its_width(self, terminal):
        with terminal.everything(), LiveLine() as line:
            line.show("camera 1 " + "x" * 100)
            line.aside("a camera was lost")
        said = terminal.said()
        assert said.count("\n") == 2
        assert "a camera was lost\r\n" in said
        assert all(len(part) <= 60 for part in said.replace("\x1b[K", "").split("\r"))

    def test_in_a_pipe_it_is_told_now_and_then_and_the_last_one_always(self):
        pipe, clock = io.StringIO(), Clock()
        with LiveLine(10.0, stream=pipe, clock=clock) as line:
            for second in range(25):
                clock.now_s = float(second)
                line.show(f"at {second}")
        assert pipe.getvalue().splitlines() == ["at 0", "at 10", "at 20", "at 24"]


class TestWords:
    def test_a_word_that_is_nearly_one_gets_it_suggested(self):
        assert like("statsu", ["status", "up"]) == "; did you mean 'status'?"
        assert like("frobnicate", ["status", "up"]) == ""

    def test_an_option_is_suggested_by_the_command_it_was_given_to_in_one_line(self, capsys):
        parser = Words(prog="crossfade")
        parser.add_subparsers().add_parser("set").add_argument("--fraction")
        with pytest.raises(SystemExit) as ended_with:
            parser.parse_args(["set", "--frction", "1"])
        assert ended_with.value.code == Status.WORDS
        told = capsys.readouterr().err
        assert told.startswith(
            "crossfade set: unrecognized arguments: --frction 1; did you mean '--fraction'?"
        )
        assert len(told.splitlines()) == 1


class TestEnds:
    def test_each_status_has_a_meaning_that_the_help_tells(self):
        assert set(MEANING) == set(Status)

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (Away("gone"), Status.AWAY),
            (NotAnswered(401, "who?"), Status.REFUSED),
            (NotAnswered(409, "not now"), Status.REFUSED),
            (NotAnswered(422, "not so"), Status.REFUSED),
            (NotAnswered(503, "busy"), Status.NOT_DONE),
            (CrossfadeError("no"), Status.NOT_DONE),
            (KeyboardInterrupt(), Status.INTERRUPTED),
        ],
    )
    def test_an_error_has_one_status(self, error, status):
        assert status_of(error) is status

    def test_of_many_things_the_status_is_what_the_failures_have_in_common(self):
        assert worst_of([Status.DONE, Status.REFUSED, Status.REFUSED]) is Status.REFUSED
        assert worst_of([Status.AWAY, Status.REFUSED]) is Status.NOT_DONE
        assert worst_of([Status.DONE]) is Status.DONE

    def test_what_nobody_thought_of_is_one_line_that_says_where(self, capsys):
        assert ended(lambda: {}["bbox"], "crossfade") == 1
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1
        assert told.startswith("crossfade: unexpected KeyError: 'bbox' (test_terminal.py, line ")

    def test_what_the_system_complains_of_is_no_fault_of_ours(self, capsys):
        assert ended(lambda: len(open("/nowhere/at/all").read()), "crossfade") == 1  # noqa: PTH123, SIM115
        assert capsys.readouterr().err == "crossfade: /nowhere/at/all: No such file or directory\n"

    def test_ctrl_c_ends_with_130_and_no_word(self, capsys):
        def interrupted() -> int:
            raise KeyboardInterrupt

        assert ended(interrupted, "crossfade") == Status.INTERRUPTED
        assert capsys.readouterr() == ("", "")

    def test_who_asks_for_the_trace_gets_it(self):
        with pytest.raises(KeyError):
            ended(lambda: {}["bbox"], "crossfade", trace=True)
