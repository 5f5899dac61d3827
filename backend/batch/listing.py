"""The pictures below a folder, as the disk tells them, one at a time: nothing is held but the folders still to be seen.

Links to pictures are followed, links to folders are not: so there is no loop, and no picture under two names by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from backend.batch.errors import CannotBatch
from backend.batch.names import path_of

NO_PICTURES = b"lost+found"  # the file system's own, at the root of a volume, which only root may read
PICTURES = (b".jpg", b".jpeg", b".png", b".webp")


@dataclass(slots=True)
class Listing:
    folder: Path
    links_to_folders: int = 0
    unreadable: list[tuple[bytes, str]] = field(default_factory=list)  # folders, and why

    def names(self) -> Iterator[bytes]:
        """Relative to the folder, in no order; CannotBatch where the folder itself cannot be read."""
        root = os.fsencode(self.folder)
        waiting = [b""]
        while waiting:
            below = waiting.pop()
            try:
                with os.scandir(path_of(root, below)) as entries:
                    for entry in entries:
                        yield from self._found(
                            entry, path_of(below, entry.name) if below else entry.name, waiting
                        )
            except OSError as error:
                self._missed(below, error)

    def _found(self, entry: os.DirEntry[bytes], name: bytes, waiting: list[bytes]) -> Iterator[bytes]:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != NO_PICTURES:
                waiting.append(name)
        elif _leads_to_folder(entry):
            self.links_to_folders += 1
        elif _is_picture(name) and (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
            yield name

    def _missed(self, below: bytes, error: OSError) -> None:
        if not below:
            raise CannotBatch(f"{self.folder}: {error.strerror}") from error
        self.unreadable.append((below, error.strerror or str(error)))


def _is_picture(name: bytes) -> bool:
    return name.lower().endswith(PICTURES)


def _leads_to_folder(entry: os.DirEntry[bytes]) -> bool:
    """A link that leads nowhere, or to itself, is told of when it is read."""
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False
