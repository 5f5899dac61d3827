"""Why there is nothing to compare."""

from __future__ import annotations

from ai.core.errors import CrossfadeError


class CannotCompare(CrossfadeError):
    """A sentence: what is missing, and what would help."""
