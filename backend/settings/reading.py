"""The settings as they are read at a start: a bad value is one line with the variable, its value, what is allowed."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ai.core.errors import BadSetting
from backend.settings.tree import Settings


def read_settings(**overrides: Any) -> Settings:
    """From the environment and `.env`; an override that is not None goes before them."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        raise (BadSetting.of(problem) if problem["loc"] else BadSetting(_words(problem["msg"]))) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f".env cannot be read: it is not UTF-8 ({error})") from error
    except OSError as error:  # what stands there may be the keys: without it the API could be open
        raise BadSetting(f".env cannot be read: {error.strerror}") from error


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
