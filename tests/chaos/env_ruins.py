"""What becomes of a `.env`: gone, empty, cut off, no text, no file, swapped, written all the time.

Permissions bind nobody who is root, as CI is: what root cannot read stands for them, a directory, a loop of links.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.threads import running

HALF_S, WHOLE_S = 0.0005, 0.0005  # 1,000 times a second, half of the time half written
FRACTION = "TRITON_TRAFFIC_FRACTION"


def _says(text: bytes) -> Callable[[Path], None]:
    """In place, as a shell redirects."""
    return lambda path: (path.write_bytes(text), None)[1]


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


UNREADABLE: Mapping[str, Callable[[Path], None]] = {
    "binary": _says(bytes(range(256))),
    "a zero in it": _says(b"TRITON_ENABLED=true\0"),
    "a directory": _directory,
    "a loop of links": _loop,
    "a pipe": _pipe,
}
SAYS_LESS: Mapping[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "empty": _says(b""),
    "cut in a name": _says(b"TRITON_ENABLED=true\nTRITON_TRAFF"),
    "cut in a value": _says(b"TRITON_TRAFFIC_FRACTION="),
    "cut in a switch": _says(b"TRITON_ENABLED=fals"),
    "a link to nowhere": _to_nowhere,
}


def whole_again(path: Path, text: str) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    draft = path.with_suffix(".whole")
    draft.write_text(text)
    draft.replace(path)


class Mount:
    """As Kubernetes mounts a ConfigMap: `.env` → `..data/.env`, and `..data` → a folder of its own for each version."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._made = path, 0
        self.swap(text)
        path.unlink()
        path.symlink_to("..data/.env")

    def swap(self, text: str) -> None:
        """To a new version, all at once; the one before is removed."""
        parent, before = self._path.parent, self._path.parent / f"..{self._made}"
        self._made += 1
        folder = parent / f"..{self._made}"
        folder.mkdir()
        (folder / ".env").write_text(text)
        draft = parent / "..data_tmp"
        draft.symlink_to(folder.name)
        draft.replace(parent / "..data")
        shutil.rmtree(before, ignore_errors=True)


class Rewriting:
    """Writes one text after the other in place, each in two halves."""

    def __init__(self, path: Path, texts: Sequence[tuple[str, str]]) -> None:
        self.texts = texts
        self.times = 0
        self._path = path
        self._ending = threading.Event()

    def run(self) -> None:
        while not self._ending.is_set():
            first, second = self.texts[self.times % len(self.texts)]
            with self._path.open("wb", buffering=0) as file:
                file.write(first.encode())
                time.sleep(HALF_S)
                file.write(second.encode())
            time.sleep(WHOLE_S)
            self.times += 1

    def end(self) -> None:
        self._ending.set()


@contextmanager
def rewriting(path: Path, texts: Sequence[tuple[str, str]]) -> Iterator[Rewriting]:
    writer = Rewriting(path, texts)
    with running(writer.run, writer.end, 10):
        yield writer
