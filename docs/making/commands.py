"""docs/commands.md: every command with its words, made from the parsers that read them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from textwrap import dedent

from ai.triton.building import words as models
from backend import cli
from backend.commands.statuses import MEANING
from backend.doctor import command as doctor
from docs.making.markdown import begun, code, joined, table


@dataclass(frozen=True)
class Word:
    name: str
    summary: str
    parser: argparse.ArgumentParser


def page() -> str:
    top = cli.parser()
    listed = [[f"[`{word.name}`](#{_anchor(word.name)})", word.summary] for word in words_of(top)]
    return joined(
        begun("Commands", "the commands' own help", "commands"),
        table(("command", "what it does"), listed),
        "Exit statuses:",
        table(("status", "meaning"), [[str(int(status)), meaning] for status, meaning in MEANING.items()]),
        *_sections(top, depth=2),
    )


def words_of(parser: argparse.ArgumentParser) -> Iterator[Word]:
    """Its commands. What has a parser of its own elsewhere is told by that."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for told in action._choices_actions:
                name = f"{parser.prog} {told.dest}"
                yield Word(name, told.help or "", _elsewhere().get(name) or action.choices[told.dest])


def _elsewhere() -> Mapping[str, argparse.ArgumentParser]:
    return {"crossfade models": models.parser(), "crossfade doctor": doctor.parser()}


def _sections(parser: argparse.ArgumentParser, depth: int) -> Iterator[str]:
    for word in words_of(parser):
        yield "\n\n".join(_section(word, depth))
        yield from _sections(word.parser, depth + 1)


def _section(word: Word, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {word.name}"
    yield _sentence(word)
    if word.parser.epilog:
        yield from _shown(word.parser.epilog)
    if rows := [[_name(action), _meaning(action)] for action in _told(word.parser)]:
        yield table(("word", "meaning"), rows)


def _sentence(word: Word) -> str:
    said = word.parser.description or word.summary
    return said if said.endswith(".") else f"{said[:1].upper()}{said[1:]}."


def _told(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What it is told without a dash comes first."""
    others = (argparse._SubParsersAction, argparse._HelpAction)
    told = [one for one in parser._actions if not isinstance(one, others) and one.help != argparse.SUPPRESS]
    return sorted(told, key=lambda action: bool(action.option_strings))


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return code(_metavar(action))
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return ", ".join(code(option + value) for option in action.option_strings)


def _metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        name = action.metavar
    elif action.choices:
        name = "|".join(map(str, action.choices))
    else:
        name = action.dest.upper() if action.option_strings else action.dest
    ending = {"+": "…", "*": "…", "?": ""}.get(str(action.nargs), "")
    return f"[{name}{ending}]" if action.nargs in ("*", "?") and not action.option_strings else name + ending


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default, "prog": "crossfade"}
    choices = ", ".join(map(code, map(str, action.choices))) if action.choices and action.metavar else ""
    return "; ".join(filter(None, [text, choices]))


def _shown(epilog: str) -> Iterator[str]:
    """Its sentences, and as code what stands in from the margin."""
    for is_code, lines in groupby(epilog.strip("\n").split("\n"), lambda line: line.startswith(" ")):
        told = list(lines)
        yield f"```\n{dedent(chr(10).join(map(_pasteable, told)))}\n```" if is_code else "\n".join(told)


def _pasteable(line: str) -> str:
    """What it says beside its command becomes a comment."""
    return re.sub(r"^( *(?:crossfade|make) .*?\S) {2,}(?=[^\s#])", r"\1  # ", line)


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")
