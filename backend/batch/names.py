"""What a picture is called: its path below the folder, in bytes, since a name on a disk need be no text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FILE, FILE_BASE64 = "file", "file_base64"


def text_of(name: bytes) -> str:
    """For people. Of bytes that are no UTF-8, their numbers."""
    return name.decode("utf-8", "backslashreplace")


def path_of(root: bytes, name: bytes) -> bytes:
    return root + b"/" + name if name else root


def label(name: bytes) -> dict[str, str]:
    """What begins a line. A name that is no text stands beside its spelling as it is, so that none is ambiguous."""
    try:
        return {FILE: name.decode()}
    except UnicodeDecodeError:
        return {FILE: text_of(name), FILE_BASE64: base64.b64encode(name).decode()}


def name_in(line: Mapping[str, Any]) -> bytes:
    """ValueError where it names none."""
    try:
        if (exact := line.get(FILE_BASE64)) is not None:
            return base64.b64decode(exact, validate=True)
        name: str = line[FILE]
        return name.encode()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a line without the name of a picture") from error


def line_of(name: bytes, document: Mapping[str, Any]) -> dict[str, Any]:
    """Whatever the document says, it is of this picture."""
    return {
        **label(name),
        **{key: value for key, value in document.items() if key not in {FILE, FILE_BASE64}},
    }


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th part of `count`, from 0. By a hash of the name: a picture that comes later moves no other."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        index, slash, count = text.partition("/")
        shard = cls(int(index), int(count))
        if not slash or not 0 <= shard.index < shard.count:
            raise ValueError
        return shard

    def has(self, name: bytes) -> bool:
        number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
        return number % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
