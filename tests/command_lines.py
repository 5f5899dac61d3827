"""The commands that a page tells its reader to type, held against the parsers that would read them."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache

from ai.triton.building import words as models
from backend import cli
from backend.doctor import command as doctor

_WITH_PARSERS_OF_THEIR_OWN = {"models": models.parser, "doctor": doctor.parser}


def commands_in(page: str) -> list[str]:
    """Of a page in Markdown: in backticks, indented or fenced."""
    return sorted(set(re.findall(r"(?:^ {0,4}|`)(crossfade [^`\n#]+?)\s*(?:#.*|`|$)", page, re.M)))


def require_understood(command: str) -> None:
    """SystemExit where it is not."""
    words = shlex.split(command)[1:]
    owner = _WITH_PARSERS_OF_THEIR_OWN.get(words[0])
    if owner is None:
        parser_of(cli.parser).parse_args(words)
    else:
        parser_of(owner).parse_args(words[1:])


@cache
def parser_of(make: Callable[[], ArgumentParser]) -> ArgumentParser:
    """Made once: a page has a hundred commands."""
    return make()
