"""The rollout's state: what was asked for. What one request gets of it is `flags`' to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ai.core.errors import CrossfadeError
from backend.rollout.ramps import Ramp
from backend.sides import SIDES, TRITON, Side

MAX_PINS = 10_000
MAX_OVERRIDES = 1_000
MAX_RAMPS = 100
MAX_NAME_CHARS = 200
_SHOWN_CHARS = 60  # of a value that is refused: the sentence stands in a log and in answers


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
    pins_suspended: bool = False  # those to Triton, of every detector, by a person's rollback
    ramps: Mapping[str, Ramp] = field(
        default_factory=lambda: MappingProxyType({})
    )  # by detector; its fraction is the override of that detector

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
        _require(isinstance(self.ramps, Mapping) and len(self.ramps) <= MAX_RAMPS, "ramps",
                 "…", f"a table of at most {MAX_RAMPS} detectors")  # fmt: skip
        for detector, ramp in self.ramps.items():
            _require(_is_name(detector) and isinstance(ramp, Ramp), "ramps", detector, "a detector's ramp")

    def fraction_of(self, detector: str) -> float:
        return self.overrides.get(detector, self.fraction)

    def pin_of(self, camera: str | None, detector: str | None = None) -> Side | None:
        """None for a detector: whatever its ramp did."""
        side = self.pins.get(camera) if camera is not None else None
        return None if side == TRITON and self._suspends(detector) else side

    def suspends_pins(self, detector: str) -> bool:
        """Those to Triton: everybody's by a person's rollback, one detector's by its ramp's."""
        return self.pins_suspended or self.is_rolled_back(detector)

    def _suspends(self, detector: str | None) -> bool:
        return self.pins_suspended if detector is None else self.suspends_pins(detector)

    def is_rolled_back(self, detector: str) -> bool:
        """Nobody has given Triton a share of it again since a rollback, a person's or its ramp's."""
        ramp = self.ramps.get(detector)
        was = self.pins_suspended or (ramp is not None and ramp.rolled_back)
        return was and not self.fraction_of(detector)

    def rolled_back(self, why: str = "rolled back") -> RolloutState:
        """Every fraction at legacy, every ramp over; no pin leads to Triton until somebody says so."""
        return replace(
            self,
            fraction=0.0,
            shadow=0.0,
            overrides=dict.fromkeys(self.overrides, 0.0),
            pins_suspended=True,
            ramps={name: ramp.over(why) if ramp.is_on else ramp for name, ramp in self.ramps.items()},
        )

    def with_ramp(self, detector: str, ramp: Ramp, fraction: float | None = None) -> RolloutState:
        """Both in one: a step never stands without its fraction, nor a fraction without its step."""
        share = {} if fraction is None else {detector: fraction}
        return replace(self, ramps={**self.ramps, detector: ramp}, overrides={**self.overrides, **share})

    def changed_by_hand(
        self, before: RolloutState, who: str, at: float, *, everywhere: bool = False
    ) -> RolloutState:
        """The ramps whose ground was moved pause, and what they had measured counts no longer.

        `everywhere`: somebody spoke of all detectors, whatever came of it.
        """
        common = everywhere or any(getattr(self, name) != getattr(before, name) for name in _GROUND)
        ramps = {
            name: ramp.begun_anew(at, paused=f"{who} changed the flags by hand")
            if ramp.is_on and (common or self.fraction_of(name) != before.fraction_of(name))
            else ramp
            for name, ramp in self.ramps.items()
        }
        return replace(self, ramps=ramps)

    def to_table(self) -> dict[str, Any]:
        table = {name: getattr(self, name) for name in self.__dataclass_fields__}
        ramps = {detector: ramp.to_table() for detector, ramp in self.ramps.items()}
        return table | {"overrides": dict(self.overrides), "pins": dict(self.pins), "ramps": ramps}

    def to_json(self) -> str:
        return json.dumps(self.to_table(), sort_keys=True)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> RolloutState:
        """InvalidState for anything that is not a state, whoever wrote it; fields of a later version are ignored."""
        if not isinstance(table, Mapping):
            raise InvalidState("a rollout state is a table")
        known = {name: table[name] for name in cls.__dataclass_fields__ if name in table}
        return cls(**{**known, "ramps": _ramps(known.get("ramps", {}))})

    @classmethod
    def from_json(cls, text: str) -> RolloutState:
        try:
            return cls.from_table(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise InvalidState(f"a rollout state that cannot be read: {error}") from error


_GROUND = ("enabled", "pins", "pins_suspended")  # of every ramp; its fraction is looked at by itself


def _ramps(table: Any) -> Mapping[str, Ramp]:
    _require(isinstance(table, Mapping), "ramps", table, "a table of detectors")
    try:
        return {name: one if isinstance(one, Ramp) else Ramp.from_table(one) for name, one in table.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidState(f"a ramp that cannot be read: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: object) -> bool:
    """No comparison with NaN holds; a whole number may be too large for a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise InvalidState(f"{name} is {repr(value)[:_SHOWN_CHARS]}; it must be {allowed}")
