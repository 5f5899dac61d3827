"""The commands that a page tells its reader to type, held against the parsers that would read them."""

from __future__ import annotations

import re
import shlex

from ai.triton import models
from backend import cli


def commands_in(page: str) -> list[str]:
    """Of a page in Markdown: in backticks, indented or fenced."""
    return sorted(set(re.findall(r"(?:^ {0,4}|`)(crossfade [^`\n#]+?)\s*(?:#.*|`|$)", page, re.M)))


def require_understood(command: str) -> None:
    """SystemExit where it is not."""
    words = shlex.split(command)[1:]
    if words[0] == "models":
        models.parser().parse_args(words[1:])
    elif words[0] != "doctor":  # that one takes no words
        cli.parser().parse_args(words)
