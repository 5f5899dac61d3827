"""What is wrong with a stack, as a sentence."""

from __future__ import annotations

from ai.core.errors import CrossfadeError


class StackError(CrossfadeError):
    """What could not be started, found or asked, and what to do about it."""
