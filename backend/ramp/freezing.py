"""When nothing is promoted: RAMP_FREEZE, such as "fri 16:00-mon 08:00, 22:00-06:00", in local time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from ai.core.errors import BadSetting

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_WEEK_MIN = 7 * _DAY_MIN
_MOMENT = r"(?:(mon|tue|wed|thu|fri|sat|sun) +)?(\d{1,2}):(\d{2})"
_WINDOW = re.compile(rf"{_MOMENT} *- *{_MOMENT}")
_ALLOWED = "windows such as fri 16:00-mon 08:00, 22:00-06:00: both ends with a day, or neither"


@dataclass(frozen=True, slots=True)
class Window:
    """From its begin up to its end, again with each period; it may lie around the period's end."""

    words: str
    begin_min: int
    end_min: int
    period_min: int

    def holds(self, at: datetime) -> bool:
        day = at.weekday() if self.period_min == _WEEK_MIN else 0
        now_min = day * _DAY_MIN + at.hour * 60 + at.minute
        return (now_min - self.begin_min) % self.period_min < (
            self.end_min - self.begin_min
        ) % self.period_min


@dataclass(frozen=True, slots=True)
class Freeze:
    windows: tuple[Window, ...] = ()

    @classmethod
    def parsed(cls, text: str) -> Freeze:
        """BadSetting where it cannot be read."""
        return cls(tuple(_window(words.strip().lower(), text) for words in text.split(",") if words.strip()))

    def frozen(self, at: datetime) -> str:
        """Which window `at` lies in, in its words; empty where it lies in none."""
        return next((window.words for window in self.windows if window.holds(at)), "")


def _window(words: str, text: str) -> Window:
    match = _WINDOW.fullmatch(words)
    if match is None:
        raise _bad(text)
    begin_day, *begin, end_day, end_hour, end_minute = match.groups()
    if (begin_day is None) != (end_day is None):
        raise _bad(text)
    period_min = _DAY_MIN if begin_day is None else _WEEK_MIN
    begin_min = _moment(begin_day, begin[0], begin[1], text)
    end_min = _moment(end_day, end_hour, end_minute, text)
    if begin_min == end_min:
        raise BadSetting(
            f"RAMP_FREEZE={text!r}: {words} begins where it ends; a pause is what holds a ramp always"
        )
    return Window(words, begin_min % period_min, end_min % period_min, period_min)


def _moment(day: str | None, hour: str, minute: str, text: str) -> int:
    if int(minute) > 59 or int(hour) * 60 + int(minute) > _DAY_MIN:
        raise _bad(text)
    return (DAYS.index(day) if day else 0) * _DAY_MIN + int(hour) * 60 + int(minute)


def _bad(text: str) -> BadSetting:
    return BadSetting(f"RAMP_FREEZE={text!r}: must be {_ALLOWED}")
