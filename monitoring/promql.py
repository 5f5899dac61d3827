"""The few forms of PromQL that panels repeat. `$detector` and `$instance` are the variables of every dashboard.

Callers' requests are counted by the backend, which knows its detectors; Triton knows models (`yolo26_jpeg`).
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = "$__rate_interval"  # Grafana's: fits the zoom and holds four scrapes at least
_DETECTOR = 'detector=~"$detector"'
_INSTANCE = 'instance=~"$instance"'
_MODEL = 'model=~"$detector.*"'  # All is `.*`, several are `(a|b)`


def of(metric: str, *matchers: str) -> str:
    """The backend's series of the chosen detectors and instances."""
    return _selected(metric, _DETECTOR, _INSTANCE, *matchers)


def of_all_detectors(metric: str, *matchers: str) -> str:
    """… where a series is of a whole worker."""
    return _selected(metric, _INSTANCE, *matchers)


def of_every_instance(metric: str, *matchers: str) -> str:
    """… where instances are added up already, or are those of another service."""
    return _selected(metric, _DETECTOR, *matchers)


def of_model(metric: str, *matchers: str) -> str:
    """Triton's series of the chosen detectors' models."""
    return _selected(metric, _MODEL, _INSTANCE, *matchers)


def of_model_everywhere(metric: str, *matchers: str) -> str:
    """… where instances are added up already."""
    return _selected(metric, _MODEL, *matchers)


def rate(series: str) -> str:
    return f"rate({series}[{WINDOW}])"


def increase(series: str, by: str, window: str = WINDOW) -> str:
    return f"sum by ({by}) (increase({series}[{window}]))"


def total(values: str, by: str) -> str:
    return f"sum by ({by}) ({values})"


def worst(values: str, by: str) -> str:
    return f"max by ({by}) ({values})"


def least(values: str, by: str) -> str:
    return f"min by ({by}) ({values})"


def share(part: str, whole: str, by: str) -> str:
    """0 where nothing of the part was ever counted; nothing where the whole stands still."""
    some, all_ = total(part, by), total(whole, by)
    return f"({some} or 0 * {all_}) / {all_}"


def quantile(q: float, histogram: str, by: str) -> str:
    """`histogram`: a selector of its `_bucket` series."""
    return f"histogram_quantile({q}, {total(rate(histogram), f'{by}, le')})"


def _selected(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"
