"""What the environment and the watched .env say of the flags, and what this machine's workers saw of it last.

TRITON_ENABLED is the kill switch: thrown while either source says false. It is obeyed at the first look; anything else
in .env has to be there at two looks in a row with nobody writing between them, since an editor may empty a file before
it fills it again, and one that is written all the time reads half written twice. So has a refusal to let us read it,
which throws the switch as well: root writes there in a hurry, under a umask of 077.
"""

from __future__ import annotations

import json
import logging
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from backend.private_files import replace_with
from backend.rollout.locked import locked
from backend.rollout.state import RolloutState
from backend.settings import share_of, switch_of, watched_of_env_file, watched_of_environment

logger = logging.getLogger(__name__)

SWITCH, FRACTION, SHADOW = "TRITON_ENABLED", "TRITON_TRAFFIC_FRACTION", "TRITON_SHADOW_FRACTION"
DENIED = f"{SWITCH}=false # for all we know: it may not be read"
LOCK_S = 0.1  # another worker makes its change of the flags meanwhile; the next look tries again

Clock = Callable[[], float]
_Written = tuple[int, int, int]  # device and inode of the file, and when
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """Both sources together."""

    kill_switch: bool = True  # thrown
    fraction: float | None = None  # None: nobody says
    shadow: float | None = None

    @property
    def shares(self) -> dict[str, float]:
        """What may become a change of the state."""
        shares = {"fraction": self.fraction, "shadow": self.shadow}
        return {name: share for name, share in shares.items() if share is not None}

    def first_state(self, legacy_enabled: bool) -> RolloutState:
        """Where nothing is known: Triton gets nothing unasked, unless there is nobody else."""
        unsaid = 0.0 if legacy_enabled else 1.0
        fraction = unsaid if self.fraction is None else self.fraction
        return RolloutState(version=1, fraction=fraction, shadow=self.shadow or 0.0)


@dataclass(slots=True)
class _Reading(Generic[T]):
    """One variable of one source; a value that cannot be read leaves the last one that could."""

    name: str
    read: Callable[[str], T]
    good: T | None = None  # None: nothing is said

    def of(self, words: Mapping[str, str], complain: Callable[[str], None]) -> T | None:
        word = words.get(self.name)
        if word is None:
            self.good = None
            return None
        try:
            self.good = self.read(word)
        except ValueError:
            complain(f"{self.name}={word!r} cannot be read; it stays at {self.good}")
        return self.good


class _Source:
    """The environment, or .env."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._switch = _Reading(SWITCH, switch_of, good=False)  # unreadable from the start: better off
        self._fraction = _Reading(FRACTION, share_of)
        self._shadow = _Reading(SHADOW, share_of)

    def says(self, words: Mapping[str, str]) -> tuple[bool | None, float | None, float | None]:
        return (
            self._switch.of(words, self._complain),
            self._fraction.of(words, self._complain),
            self._shadow.of(words, self._complain),
        )


class EnvironmentWatch:
    """Look as often as you like: the file is read once in `poll_s`, sooner where it has to be seen twice."""

    def __init__(self, env_file: Path, poll_s: float, clock: Clock = time.monotonic) -> None:
        self._path = env_file
        self._poll_s = poll_s
        self._clock = clock
        self._due_at = float("-inf")
        self._last = ""  # what the last look found …
        self._last_written: _Written | None = None  # … and when that was written
        self._thrown = False  # by what a look found, since the file was last found at rest
        self._settled = ""  # what was found twice
        self._complaints: set[str] = set()
        self._file = _Source(self._complain)
        self._own = _Source(self._complain).says(watched_of_environment())
        self.said = Said()

    def first_look(self) -> None:
        """At the start there is nothing to wait for. A file that nobody can read may throw the switch."""
        text = self._text()
        self._last = self._settled = f"{SWITCH}=false" if text is None else text
        self._last_written = self._written()
        self.said = self._together()

    def look(self) -> bool:
        """Whether something else is said now."""
        if self._clock() < self._due_at:
            return False
        self._due_at = self._clock() + self._poll_s
        text = self._text()
        if text is None:
            return False
        written = self._written()
        if (text, written) != (self._last, self._last_written):
            self._last, self._last_written = text, written
            self._thrown |= _throws(text)
            self._due_at = float("-inf")  # to be seen again as soon as may be
        else:
            self._settle(text)
        before, self.said = self.said, self._together()
        return self.said != before

    def _settle(self, text: str) -> None:
        self._thrown = False
        if text != self._settled:
            self._settled = text
            self._complaints.clear()

    def is_current(self) -> bool:
        """Whether what is said is still what stands there: another worker may have seen the next edit already.

        That puts off no look: whoever asks this more often than the file is due would never see it again.
        """
        return self._text() == self._settled

    def pass_over(self, state: RolloutState | None) -> None:
        """Without legacy a fraction has to be 1, which is no wish to give Triton everything: the state must say so.

        Nobody notes it as seen either: when legacy is back, the words of before it went are no news.
        """
        if state is not None and self.said.fraction not in (None, state.fraction):
            self._complain(f"LEGACY_ENABLED=false: {FRACTION}={self.said.fraction:g} changes nothing")

    def _text(self) -> str | None:
        """Empty for a file that is not there; None where nobody can say, and what was said last stands.

        A disk or a network that fails comes back by itself, and Triton shall not come and go with it. A permission
        does not: somebody has to give it.
        """
        try:
            if stat.S_ISFIFO(self._path.stat().st_mode):  # whoever reads it may be held for ever
                self._complain("it is a pipe, which is not read, and what it said stays in force")
                return None
            text = self._path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return ""
        except PermissionError:
            return DENIED
        except (OSError, UnicodeDecodeError) as error:
            self._complain(f"it cannot be read, and what it said stays in force: {error}")
            return None
        if "\0" in text:
            self._complain("it is not a text, and what it said stays in force")
            return None
        return text

    def _written(self) -> _Written | None:
        """None where nothing can be said of it. Asked after it was read: what is written meanwhile shows next time."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns

    def _together(self) -> Said:
        file_switch, file_fraction, file_shadow = self._file.says(watched_of_env_file(self._settled))
        own_switch, own_fraction, own_shadow = self._own
        if self._settled == DENIED:
            self._complain("it may not be read, which throws the kill switch until it may (chmod 644)")
        self._tell_if_hidden(FRACTION, file_fraction, own_fraction)
        self._tell_if_hidden(SHADOW, file_shadow, own_shadow)
        switches = [switch for switch in (own_switch, file_switch) if switch is not None]
        return Said(
            kill_switch=not switches or not all(switches) or self._thrown,
            fraction=file_fraction if own_fraction is None else own_fraction,
            shadow=file_shadow if own_shadow is None else own_shadow,
        )

    def _tell_if_hidden(self, name: str, in_file: float | None, own: float | None) -> None:
        if own is not None and in_file not in (None, own):
            self._complain(
                f"{name}={in_file:g} is not obeyed: this process's own variable, {own:g}, goes before"
            )

    def _complain(self, complaint: str) -> None:
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            logger.warning("%s: %s", self._path, complaint)


def _throws(text: str) -> bool:
    """At the first look. To be denied for a moment is the way of a file that is being put in place."""
    if text == DENIED:
        return False
    word = watched_of_env_file(text).get(SWITCH)
    try:
        return word is not None and not switch_of(word)
    except ValueError:
        return False


class LastSeen:
    """The shares that this machine's workers saw last, in one file: of all that see a new one, one changes the flags.

    A variable that is taken away leaves its last value here, so that putting it back changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """OSError where it cannot be had."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock"), LOCK_S):
            yield

    def read(self) -> dict[str, float] | None:
        try:
            table = json.loads(self._path.read_text())
            return {name: float(share) for name, share in table.items()}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError):  # torn: as if nothing was seen
            return None

    def write(self, shares: Mapping[str, float]) -> None:
        replace_with(self._path, json.dumps((self.read() or {}) | dict(shares)).encode())
