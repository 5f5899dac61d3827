"""What can be wrong with the things both sides exchange.

    CrossfadeError
    ├── InvalidImage            the caller's bytes cannot become a picture
    │   ├── NotAnImage              no picture format that we know
    │   ├── UnsupportedImage        a picture, but of a type that we do not take
    │   ├── ImageTooLarge           more bytes or more pixels than allowed
    │   └── CorruptImage            the right type, but broken or cut short
    ├── InvalidDetections       a model's answer is not a set of detections
    ├── InvalidSpec             a detector's description contradicts itself
    ├── BadSetting              an environment variable has a value that is not allowed
    └── BackendError            a side was asked and gave no detections     retry it?   counts against it?
        ├── Unavailable             it cannot be reached, or went away          yes         yes
        ├── Overloaded              it works, and its queue is full             no          no
        ├── DeadlineExceeded        it did not answer in time                   no          yes
        ├── ServerError             it failed inside                            no          yes
        ├── ModelNotFound           it has no such model, or not one of ours    no          yes
        ├── InvalidModelOutput      it answered what cannot be detections       no          yes
        └── Refused                 it says that the request is wrong           no          no

Every message is a sentence for a person: what was wrong, and what is allowed. What to do about a
BackendError is decided by its two flags, never by its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

MAX_WORDS = 1_000  # characters of a BackendError


class CrossfadeError(Exception):
    """The root of every error that Crossfade raises on purpose."""


class InvalidImage(CrossfadeError):
    pass


class NotAnImage(InvalidImage):
    pass


class UnsupportedImage(InvalidImage):
    pass


class ImageTooLarge(InvalidImage):
    pass


class CorruptImage(InvalidImage):
    pass


class InvalidDetections(CrossfadeError):
    pass


class InvalidSpec(CrossfadeError):
    pass


class BadSetting(CrossfadeError):
    @classmethod
    def of(cls, problem: Mapping[str, Any], prefix: str = "") -> BadSetting:
        """One line from the first of pydantic's problems: the variable, its value, and what is allowed."""
        name = prefix + "_".join(str(part) for part in problem["loc"])
        return cls(f"{name.upper()}={_shown(problem['input'])!r}: {problem['msg']}")


def _shown(value: object) -> object:
    """An address may hold a password; wherever it begins, it ends at the last @."""
    if not isinstance(value, str) or "@" not in value:
        return value
    before, at, host = value.rpartition("@")
    kind, mark, _ = before.rpartition("://")
    return f"{kind}{mark}…{at}{host}"


class BackendError(CrossfadeError):
    """A side was asked and gave no detections. Its sentence may quote that side, and so is cut: it goes into logs
    and answers."""

    retryable: ClassVar[bool] = False  # the same side may be asked again
    counts_against_backend: ClassVar[bool] = True  # it is a sign that the side is not well

    def __init__(self, words: str = "") -> None:
        super().__init__(words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…")


class Unavailable(BackendError):
    retryable = True


class Overloaded(BackendError):
    counts_against_backend = False


class DeadlineExceeded(BackendError):
    pass


class ServerError(BackendError):
    pass


class ModelNotFound(BackendError):
    pass


class InvalidModelOutput(BackendError):
    pass


class Refused(BackendError):
    counts_against_backend = False
