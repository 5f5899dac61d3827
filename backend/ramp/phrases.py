"""Numbers as a person reads them: in a look's sentence, in the history, in a refusal."""

from __future__ import annotations


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def duration(seconds: float) -> str:
    """About so long, in the largest unit that still says something."""
    if seconds < 90:
        return _counted(max(1, round(seconds)), "second")
    if seconds < 90 * 60:
        return _counted(round(seconds / 60), "minute")
    if seconds < 48 * 3600:
        return _counted(round(seconds / 3600), "hour")
    return _counted(round(seconds / 86_400), "day")


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def listed(words: tuple[str, ...]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
