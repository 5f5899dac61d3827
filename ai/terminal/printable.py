"""Text of others on a terminal of ours: a name of a file or a label must not steer it."""

from __future__ import annotations


def printable(line: str) -> str:
    """One line, whoever wrote it: of what would steer a terminal there is a question mark, of line ends a blank."""
    if line.isprintable():
        return line
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "?" for sign in line)
