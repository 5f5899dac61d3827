"""What can be wrong with the things both sides exchange.

    CrossfadeError
    ├── InvalidImage            the caller's bytes cannot become a picture
    │   ├── NotAnImage              no picture format that we know
    │   ├── UnsupportedImage        a picture, but of a type that we do not take
    │   ├── ImageTooLarge           more bytes or more pixels than allowed
    │   └── CorruptImage            the right type, but broken or cut short
    ├── InvalidDetections       a model's answer is not a set of detections
    ├── InvalidSpec             a detector's description contradicts itself
    └── BadSetting              an environment variable has a value that is not allowed

Every message is a sentence for a person: what was wrong, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
        return cls(f"{name.upper()}={problem['input']!r}: {problem['msg']}")
