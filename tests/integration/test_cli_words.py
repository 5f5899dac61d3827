"""The words of the command: what its help teaches, what a wrong one is answered, and what the shell completes."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from ai.triton import models
from backend import cli
from backend.commands.completion import SHELLS, script
from backend.commands.overview import GROUPS, QUICK_START
from backend.commands.statuses import MEANING, Status
from tests.command_lines import require_understood

pytestmark = pytest.mark.beside

SAYS_NOTHING_OF_ITS_OWN = {"crossfade serve", "crossfade completion"}


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands that do something."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for command in group.choices.values():
            yield from leaves(command)


COMMANDS = {command.prog: command for command in leaves(cli.parser())}


class TestHelp:
    def test_the_first_page_has_every_command_in_a_group_and_how_a_script_is_answered(self):
        page = cli.parser().format_help()
        for heading, names in GROUPS.items():
            lines = page.partition(f"\n{heading}\n")[2].partition("\n\n")[0].splitlines()
            assert tuple(line.split()[0] for line in lines) == names
        assert "\nMore\n" not in page, "a command that nobody has put into a group"
        for status, meaning in MEANING.items():
            assert f"  {status:<12} {meaning}" in page

    def test_the_quick_start_can_be_typed(self):
        for command, _ in QUICK_START:
            require_understood(command)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_command_shows_itself_at_work(self, name):
        examples = [line.strip() for line in (COMMANDS[name].epilog or "").splitlines() if name in line]
        assert examples

    @pytest.mark.parametrize("name", sorted(COMMANDS.keys() - SAYS_NOTHING_OF_ITS_OWN))
    def test_each_command_that_says_anything_says_it_as_json_too(self, name):
        assert "--json" in COMMANDS[name]._option_string_actions

    def test_the_words_of_models_are_those_that_its_own_process_takes(self):
        ours = {prog for prog in COMMANDS if prog.startswith("crossfade models ")}
        assert ours == {command.prog for command in leaves(models.parser())}


class TestWrongWords:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["statsu"], "did you mean 'status'?"),
            (["rollout", "rolback"], "did you mean 'rollback'?"),
            (["models", "bild"], "did you mean 'build'?"),
            (["models", "build", "--engin", "openvion"], "did you mean 'openvino'?"),
            (["doctor", "--jsn"], "did you mean '--json'?"),
            (["rollout", "set", "--fraction", "2"], "number from 0 to 1"),
        ],
    )
    def test_one_line_says_what_may_have_been_meant(self, words, told, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        said = capsys.readouterr()
        assert ended.value.code == Status.WORDS
        assert told in said.err
        assert (said.out, len(said.err.splitlines())) == ("", 1)

    def test_no_word_at_all_is_answered_with_the_first_page(self, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main([])
        assert ended.value.code == Status.WORDS
        assert "Quick start" in capsys.readouterr().err


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """What bash offers for these words, the last of them half typed: by its own completion, as at a prompt."""
    if (program := shutil.which("bash")) is None:
        pytest.skip("needs bash (Debian: apt install bash)")
    folder = tmp_path_factory.mktemp("completion")
    (file := folder / "crossfade.bash").write_text(script(cli.parser(), "bash"))
    (folder / "pictures").mkdir()
    (folder / "pier.jpg").touch()
    asked = (
        'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
        'function=$(complete -p crossfade | sed -E "s/.* -F ([^ ]+) .*/\\1/"); "$function"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    def offered(*words: str) -> set[str]:
        done = subprocess.run(
            [program, "--norc", "-c", asked, str(file), "crossfade", *words],
            cwd=folder, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return set(done.stdout.split())

    return offered


class TestCompletion:
    @pytest.mark.parametrize(
        ("words", "offered"),
        [
            (["ro"], {"rollout"}),
            (["rollout", "roll"], {"rollback"}),
            (["rollout", "set", "--fr"], {"--fraction"}),
            (["detect", "--backend", "t"], {"triton"}),
            (["compare", "--detector", ""], {"rtdetr", "yolo26"}),
            (["logs", "b"], {"backend"}),
            (["models", "build", "--engine", "t"], {"torch", "tensorrt"}),
            (["models", "build", "yo"], {"yolo26"}),
            (["detect", "pi"], {"pier.jpg", "pictures"}),
            (["detect", "--save-dir", "pi"], {"pictures"}),
        ],
    )
    def test_bash_offers_commands_options_choices_and_files(self, bash, words, offered):
        assert bash(*words) == offered

    @pytest.mark.parametrize("shell", SHELLS)
    def test_each_shell_gets_a_script(self, shell, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(["completion", shell])
        assert ended.value.code == Status.DONE
        assert "rollback" in capsys.readouterr().out
