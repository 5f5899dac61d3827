"""`crossfade completion SHELL`: a script by which a shell completes commands, options, choices and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from backend.commands.words import Commands, add, tell
from backend.settings import DETECTORS

SHELLS = ("bash", "zsh", "tcsh")
# What can be said there, by the name that the help shows; a word beyond these is taken as well when it is typed.
_KNOWN = {"DETECTOR": DETECTORS, "PART": (*DETECTORS, "triton", "backend")}
_FOLDERS = {"DIR", "FOLDER"}


def add_words(commands: Commands) -> None:
    completion = add(
        commands, "completion", lambda *_: 0, "a script for your shell that completes commands, options and files",
        "  crossfade completion bash > ~/.local/share/bash-completion/completions/crossfade\n"
        '  crossfade completion zsh > "${fpath[1]}/_crossfade"             then start the shell anew\n'
        "  crossfade completion tcsh >> ~/.cshrc",
    )  # fmt: skip
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    completion.set_defaults(alone=_completion)


def _completion(args: argparse.Namespace) -> int:
    tell(*script(args.parser, args.shell).split("\n"))
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """`parser` is marked for it, and of no other use afterwards."""
    for action in _actions(parser):
        _mark(action)
    return str(shtab.complete(parser, shell=shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _mark(action: argparse.Action) -> None:
    name = str(action.metavar or action.dest).upper()
    if action.choices is None and name in _KNOWN:
        action.choices = _KNOWN[name]
    elif name in _FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif name == "FILE" or getattr(action.type, "__name__", "") == "Path" or action.dest == "source":
        action.complete = shtab.FILE  # type: ignore[attr-defined]
