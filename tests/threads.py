"""What goes on beside a test, as long as a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def running(work: Callable[[], object], end: Callable[[], object], patience_s: float) -> Iterator[None]:
    """`end` is called when the block is over, and the work has this long to heed it."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join(patience_s)
        assert not thread.is_alive(), f"{work} did not end within {patience_s:g} s"
