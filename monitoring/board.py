"""A dashboard: rows of panels, laid out from left to right, with what all dashboards have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitoring.panels import DATASOURCE, RUNBOOK, Json, Panel

GRAFANA: Final = "12.4.11"  # the version that this is written for; compose runs the same
_SCHEMA: Final = 41  # of Grafana 12.0: a later one migrates it by itself
_WIDTH: Final = 24


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    name: str
    label: str
    promql: str  # Grafana's label_values(…)


@dataclass(frozen=True)
class Note:
    """What happened, as a line through every panel."""

    name: str
    promql: str  # a series at a moment is a line there
    title: str
    tags: str
    colour: str


@dataclass(frozen=True)
class Board:
    name: str  # of its file and, with a prefix, its address
    title: str
    description: str
    rows: tuple[Row, ...]
    instances: str  # the label_values(…) that `$instance` offers
    since: str = "now-3h"

    @property
    def uid(self) -> str:
        return f"crossfade-{self.name}"

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)

    def as_json(self, all_boards: tuple[Board, ...]) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["crossfade"],
            "schemaVersion": _SCHEMA,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,  # one crosshair for all panels
            "refresh": "30s",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "annotations": {"list": [_note(note) for note in NOTES]},
            "templating": {"list": [_variable(DETECTOR), _variable(self._instance())]},
            "links": [*(_link(board) for board in all_boards if board != self), _RUNBOOK_LINK],
            "panels": list(self._laid_out()),
        }

    def _instance(self) -> Variable:
        return Variable("instance", "Instance", self.instances)

    def _laid_out(self) -> Iterator[Json]:
        number = y = 0
        for row in self.rows:
            number += 1
            yield _heading(row.title, number, y)
            y += 1
            for line in _lines(row.panels):
                x = 0
                for panel in line:
                    number += 1
                    yield panel.as_json(number, x, y)
                    x += panel.width
                y += max(panel.height for panel in line)


def _lines(panels: tuple[Panel, ...]) -> Iterator[list[Panel]]:
    """As many panels side by side as fit."""
    line: list[Panel] = []
    for panel in panels:
        if sum(each.width for each in line) + panel.width > _WIDTH:
            yield line
            line = []
        line.append(panel)
    yield line


DETECTOR: Final = Variable("detector", "Detector", "label_values(detector_requests_total, detector)")
NOTES: Final = (
    Note(
        "Changes of the flags",
        "sum by (kind) (increase(rollout_changes_total[90s])) > 0",  # overlaps the step: none falls between two
        "{{kind}}",
        "kind",
        "blue",
    ),
    Note(
        "Firing alerts",
        'max by (alertname, severity, component) (ALERTS{alertstate="firing", severity=~"page|ticket"})',
        "{{alertname}}",
        "severity,component",
        "red",
    ),
)


def _note(note: Note) -> Json:
    return {
        "name": note.name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": note.colour,
        "expr": note.promql,
        "step": "60s",
        "titleFormat": note.title,
        "textFormat": note.name,
        "tagKeys": note.tags,
        "useValueForTime": False,
    }


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": variable.promql, "refId": variable.name},
        "refresh": 2,  # when the time range changes: a detector may be new
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def _link(board: Board) -> Json:
    """To another dashboard, at the same time, of the same detectors; its instances are others."""
    return {
        "type": "link",
        "title": board.title,
        "tooltip": board.description,
        "url": f"/d/{board.uid}?${{detector:queryparam}}",
        "icon": "dashboard",
        "tags": [],
        "keepTime": True,
        "includeVars": False,
        "asDropdown": False,
        "targetBlank": False,
    }


_RUNBOOK_LINK: Final[Json] = {
    "type": "link",
    "title": "Runbook",
    "tooltip": "What to do when an alert fires",
    "url": RUNBOOK,
    "icon": "doc",
    "tags": [],
    "keepTime": False,
    "includeVars": False,
    "asDropdown": False,
    "targetBlank": True,
}


def _heading(title: str, number: int, y: int) -> Json:
    place = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
