"""Files for this user only, there as a whole or not at all: a draft beside them is written, and takes the name.

What is no file (a pipe, a terminal) is written to as it is. OSError where something cannot be.
"""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
MAX_STEM_CHARS = 50  # of the name, in that of its draft


def replace_with(path: Path, content: bytes | Callable[[BinaryIO], object], *, force: bool = True) -> None:
    """`content` is what it holds, or writes it."""
    with drafted(path, force=force) as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            content(file)


@contextmanager
def drafted(path: Path, *, force: bool = True) -> Iterator[BinaryIO]:
    """It has its name when this ends well. FileExistsError where one has it already, unless `force` is given."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    if not force and path.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    target = path.resolve()  # of a link, what it leads to
    with _ending_cleanly():
        descriptor, name = tempfile.mkstemp(".new", f".{target.name[:MAX_STEM_CHARS]}.", target.parent)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _name(draft, target, force)
        finally:
            draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path, force: bool) -> None:
    if force:
        draft.replace(path)
        return
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _name_without_links(draft, path)


def _name_without_links(draft: Path, path: Path) -> None:
    """The name is taken first, by an empty file of ours: of two that want it, one gets it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        draft.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """A process that would just end at a signal removes its draft first. Signals are the main thread's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [one for one in _ENDINGS if signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, _end)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
