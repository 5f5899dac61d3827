"""Text of others on a terminal of ours: a name of a file or a label must not steer it."""

from __future__ import annotations

from typing import TextIO


def printable(line: str) -> str:
    """One line, whoever wrote it: of what would steer a terminal there is a question mark, of line ends a blank."""
    if line.isprintable():
        return line
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "?" for sign in line)


def spelt_out(stream: TextIO, text: str) -> str:
    """With a backslash and a number where the stream's letters do not have a sign."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
