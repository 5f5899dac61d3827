"""Why a batch does not begin, or ends early; whatever it wrote until then stays good."""

from __future__ import annotations

from ai.core.errors import CrossfadeError


class CannotBatch(CrossfadeError):
    """A sentence for a person: what is in the way, and what to do."""
