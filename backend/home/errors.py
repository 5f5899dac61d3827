"""Why nothing can be published."""

from __future__ import annotations

from ai.core.errors import CrossfadeError


class HomeError(CrossfadeError):
    """What is missing, or which setting is wrong, as a sentence."""


class BrokerAway(HomeError):
    """It cannot be reached, or does not answer; later it may."""


class BrokerRefused(HomeError):
    """It was reached, and wants nothing of us."""
