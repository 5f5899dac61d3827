"""A copy of our rules in which all time goes faster: `for`, windows, offsets and intervals are divided by a factor.

shortened(MONITORING, folder, factor=60, interval_s=1)    # -> the files, as Prometheus is to read them

A window keeps the length of some scrapes, or there would be no two samples in it; so does a `for`, or one scrape that
came late would be an alert. An age (`time()` less a `…_timestamp_seconds`) is compared with days, which are divided by
AGES once more, or three days would still be 72 minutes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
WINDOW = re.compile(rf"\[({DURATION})(?::({DURATION})?)?\]")
OFFSET = re.compile(rf"\boffset\s+({DURATION})")
AGE = re.compile(r"(_(?:age|timestamp)_seconds(?:\{[^}]*\})?[\s)]*(?:>=|<=|>|<)\s*)(\d[\d.]*)")
AGES = 720.0
LEAST_WINDOW, LEAST_WAIT = 4, 2  # scrapes
WAITS = ("for", "keep_firing_for")


def shortened(monitoring: Path, folder: Path, factor: float, interval_s: float) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    sources = [monitoring / "recording.yml", *sorted((monitoring / "alerts").glob("*.yml"))]
    return [_copied(source, folder, factor, interval_s) for source in sources]


def _copied(source: Path, folder: Path, factor: float, interval_s: float) -> Path:
    document = yaml.safe_load(source.read_text())
    for group in document["groups"]:
        group.pop("interval", None)  # the interval of the test's configuration
        for rule in group["rules"]:
            _shorten(rule, factor, interval_s)
    copy = folder / source.name
    copy.write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
    return copy


def _shorten(rule: dict[str, Any], factor: float, interval_s: float) -> None:
    for name in rule.keys() & set(WAITS):
        rule[name] = shorter(rule[name], factor, LEAST_WAIT * interval_s)
    rule["expr"] = shorter_expression(rule["expr"], factor, LEAST_WINDOW * interval_s)


def shorter_expression(expression: str, factor: float, least_window_s: float) -> str:
    def window(found: re.Match[str]) -> str:
        length = shorter(found[1], factor, least_window_s)
        if ":" not in found[0]:
            return f"[{length}]"
        return f"[{length}:{shorter(found[2], factor, 1.0) if found[2] else ''}]"

    expression = WINDOW.sub(window, expression)
    expression = OFFSET.sub(lambda found: f"offset {shorter(found[1], factor)}", expression)
    return AGE.sub(lambda found: f"{found[1]}{float(found[2]) / (factor * AGES):g}", expression)


def shorter(duration: str, factor: float, least_s: float = 0.0) -> str:
    """`5m` → `5s`; what is 0 stays 0."""
    ms = max(seconds(duration) / factor, least_s if seconds(duration) else 0.0) * 1000
    return f"{round(ms)}ms"


def seconds(duration: str) -> float:
    parts = re.findall(r"(\d+)(ms|[smhdwy])", str(duration))
    return sum(int(number) * UNITS_S[unit] for number, unit in parts)
