"""A panel: what it asks, in which unit, how to read it; and the same as Grafana's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}  # as in grafana/provisioning/datasources

Json = dict[str, Any]
Kind = Literal["timeseries", "stat", "state-timeline", "table"]
Step = tuple[float | None, str]  # from this value on, this colour; None: from below everything

_COLOURS: Final = {"legacy": "blue", "triton": "green", "none": "red", "other": "purple"}
"""A side has one colour in all panels."""
RUNBOOK: Final = (
    "https://github.com/crossfade/crossfade/blob/main/docs/runbook.md"  # as in the alerts' runbook_url
)


@dataclass(frozen=True)
class Panel:
    title: str
    description: str  # what is seen, what is good, what to do with it
    unit: str  # Grafana's name of it
    queries: Mapping[str, str]  # legend: PromQL
    kind: Kind = "timeseries"
    width: int = 8  # of 24
    height: int = 8
    steps: tuple[Step, ...] = ()
    least: float | None = 0
    most: float | None = None
    stacked: bool = False
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)  # value: what it is called, its colour
    alerts: tuple[str, ...] = ()  # whose sections of the runbook say what to do
    empty_when: str = ""  # a reason for having no data that is no fault

    @property
    def says(self) -> str:
        return f"{self.description} Empty {self.empty_when}." if self.empty_when else self.description

    def as_json(self, number: int, x: int, y: int) -> Json:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.says,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(*each) for each in enumerate(self.queries.items())],
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": self._options(),
            "transformations": _WITHOUT_TIME_AND_VALUE if self.kind == "table" else [],
            "links": [_runbook_link(alert) for alert in self.alerts],
        }

    def _target(self, index: int, query: tuple[str, str]) -> Json:
        legend, promql = query
        now = self.kind in {"stat", "table"}  # a series that has ended is not shown by its last value
        return {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": promql,
            "legendFormat": legend,
            "instant": now,
            "range": not now,
            "format": "table" if self.kind == "table" else "time_series",
        }

    def _defaults(self) -> Json:
        steps = self.steps or ((None, "green"),)
        by_value = self.words or (self.steps and self.kind == "stat")
        defaults = {
            "unit": self.unit,
            "min": self.least,
            "max": self.most,
            "noValue": "none" if self.kind in {"stat", "table"} else None,
            "color": {"mode": "thresholds" if by_value else "palette-classic"},
            "mappings": [_mapping(self.words)] if self.words else [],
            "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]},
            "custom": self._custom(),
        }
        return {key: value for key, value in defaults.items() if value is not None}

    def _custom(self) -> Json:
        if self.kind == "state-timeline":
            return {"lineWidth": 0, "fillOpacity": 70}
        if self.kind != "timeseries":
            return {}
        return {
            "drawStyle": "line",
            "lineWidth": 2,
            "fillOpacity": 30 if self.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if self.steps else "off"},
        }

    def _overrides(self) -> list[Json]:
        """A side's colour, wherever a legend names that side and no other."""
        if self.kind != "timeseries" or not any("{{backend}}" in legend for legend in self.queries):
            return []
        return [
            {
                "matcher": {"id": "byRegexp", "options": f"/\\b{side}\\b/"},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            }
            for side, colour in _COLOURS.items()
        ]

    def _options(self) -> Json:
        if self.kind != "stat":
            return _OPTIONS[self.kind]
        several = len(self.queries) > 1 or any("{{" in legend for legend in self.queries)
        return {**_STAT, "textMode": "value_and_name" if several else "value"}


def rising(**colours: float) -> tuple[Step, ...]:
    """Green, until a value is so high: `rising(yellow=0.5, red=0.9)`."""
    return ((None, "green"), *((value, colour) for colour, value in colours.items()))


def falling(red: float, yellow: float) -> tuple[Step, ...]:
    """Red below the one, yellow below the other, green from there on."""
    return (None, "red"), (red, "yellow"), (yellow, "green")


def _mapping(words: Mapping[int, tuple[str, str]]) -> Json:
    options = {
        str(value): {"index": index, "text": text, "color": colour}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return {"type": "value", "options": options}


def _runbook_link(alert: str) -> Json:
    return {"title": f"Runbook: {alert}", "url": f"{RUNBOOK}#{alert.lower()}", "targetBlank": True}


_TOOLTIP: Final = {"mode": "multi", "sort": "desc"}
_STAT: Final[Json] = {
    "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
    "orientation": "auto",
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "wideLayout": True,
}
_OPTIONS: Final[Mapping[str, Json]] = {
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": _TOOLTIP,
    },
    "state-timeline": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": _TOOLTIP,
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.8,
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}  # fmt: skip
_WITHOUT_TIME_AND_VALUE: Final[list[Json]] = [
    {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}
]  # fmt: skip
