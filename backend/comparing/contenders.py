"""Who is compared: the legacy service, or a model of a Triton, as written on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backend.comparing.errors import CannotCompare
from backend.settings import Settings
from backend.sides import LEGACY, TRITON, Side

_MODEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*)(?:/([1-9][0-9]*))?")


@dataclass(frozen=True, slots=True)
class Contender:
    side: Side
    model: str = ""  # of a Triton
    version: str = ""  # empty: the one that serves

    @classmethod
    def parse(cls, text: str, detector: str, settings: Settings) -> Contender:
        """legacy, triton, triton:MODEL or triton:MODEL/VERSION."""
        if text == LEGACY:
            return cls(LEGACY)
        if text == TRITON:
            return cls(TRITON, settings.triton_models[detector])
        kind, _, rest = text.partition(":")
        found = _MODEL.fullmatch(rest)
        if kind != TRITON or found is None:
            raise CannotCompare(
                f"{text!r} is no side: legacy, triton, triton:MODEL or triton:MODEL/VERSION is one"
            )
        return cls(TRITON, found[1], found[2] or "")

    @property
    def name(self) -> str:
        """For a reader."""
        version = f" version {self.version}" if self.version else ""
        return f"Triton {self.model}{version}" if self.side == TRITON else "legacy"

    @property
    def served_as(self) -> str:
        """What its folder is called where two versions of a model stand side by side."""
        return f"{self.model}_v{self.version}" if self.version else self.model
