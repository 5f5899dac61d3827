"""The rollout's state: what was asked for. What one request gets of it is `flags`' to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ai.core.errors import CrossfadeError
from backend.sides import LEGACY, SIDES, Side

MAX_PINS = 10_000
MAX_OVERRIDES = 1_000
MAX_NAME_CHARS = 200


class InvalidState(CrossfadeError):
    """A sentence: which field is wrong, and what it may be."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    version: int = 0  # grows by one with each change
    enabled: bool = (
        True  # the switch of API, CLI and console; the kill switch TRITON_ENABLED stands before it
    )
    fraction: float = 0.0
    shadow: float = 0.0
    overrides: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({})
    )  # detector → fraction
    pins: Mapping[str, Side] = field(default_factory=lambda: MappingProxyType({}))  # camera → side
    pins_suspended: bool = False  # those to Triton, by a rollback

    def __post_init__(self) -> None:
        _require(_is_count(self.version), "version", self.version, "a whole number from 0")
        _require(isinstance(self.enabled, bool), "enabled", self.enabled, "true or false")
        _require(
            isinstance(self.pins_suspended, bool), "pins_suspended", self.pins_suspended, "true or false"
        )
        for name, value in (("fraction", self.fraction), ("shadow", self.shadow)):
            _require(_is_share(value), name, value, "a number from 0 to 1")
        _require(isinstance(self.overrides, Mapping) and len(self.overrides) <= MAX_OVERRIDES, "overrides",
                 "…", f"a table of at most {MAX_OVERRIDES} detectors")  # fmt: skip
        _require(isinstance(self.pins, Mapping) and len(self.pins) <= MAX_PINS, "pins",
                 "…", f"a table of at most {MAX_PINS} cameras")  # fmt: skip
        for detector, fraction in self.overrides.items():
            _require(_is_name(detector), "overrides", detector, "the name of a detector")
            _require(_is_share(fraction), f"overrides.{detector}", fraction, "a number from 0 to 1")
        for camera, side in self.pins.items():
            _require(_is_name(camera), "pins", camera, "the name of a camera")
            _require(side in SIDES, f"pins.{camera}", side, " or ".join(SIDES))

    def fraction_of(self, detector: str) -> float:
        return self.overrides.get(detector, self.fraction)

    def pin_of(self, camera: str | None) -> Side | None:
        side = self.pins.get(camera) if camera is not None else None
        return None if self.pins_suspended and side != LEGACY else side

    @property
    def is_rolled_back(self) -> bool:
        """Nobody has given Triton a share again since the rollback."""
        return self.pins_suspended and not any((self.fraction, *self.overrides.values()))

    def rolled_back(self) -> RolloutState:
        """Every fraction at legacy; no pin leads to Triton until somebody says so."""
        return replace(
            self, fraction=0.0, shadow=0.0, overrides=dict.fromkeys(self.overrides, 0.0), pins_suspended=True
        )

    def to_table(self) -> dict[str, Any]:
        table = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return table | {"overrides": dict(self.overrides), "pins": dict(self.pins)}

    def to_json(self) -> str:
        return json.dumps(self.to_table(), sort_keys=True)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> RolloutState:
        """InvalidState for anything that is not a state, whoever wrote it; fields of a later version are ignored."""
        if not isinstance(table, Mapping):
            raise InvalidState("a rollout state is a table")
        return cls(**{name: table[name] for name in cls.__dataclass_fields__ if name in table})

    @classmethod
    def from_json(cls, text: str) -> RolloutState:
        try:
            return cls.from_table(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise InvalidState(f"a rollout state that cannot be read: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: object) -> bool:
    """No comparison with NaN holds; a whole number may be too large for a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise InvalidState(f"{name} is {value!r}; it must be {allowed}")
