"""How much memory a piece of work takes at its peak, of this process or of those that serve it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

_FIELD = {name: re.compile(rf"{name}:\s+(\d+)") for name in ("VmRSS", "VmHWM")}


class Peak:
    """Begun before the work, asked behind it."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        self._pids = pids or (os.getpid(),)
        for pid in self._pids:
            Path(f"/proc/{pid}/clear_refs").write_bytes(b"5")
        self._before_kib = self._kib("VmRSS")

    def grown_mb(self) -> float:
        return max(0, self._kib("VmHWM") - self._before_kib) / 1024

    def _kib(self, field: str) -> int:
        texts = (Path(f"/proc/{pid}/status").read_text() for pid in self._pids)
        return sum(int(found[1]) for text in texts if (found := _FIELD[field].search(text)))
