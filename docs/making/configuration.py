"""docs/configuration.md: everything that can be set, made from the settings themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_settings import BaseSettings

from ai.serving.settings import ServiceSettings
from ai.triton.embedded.settings import EmbeddedSettings
from ai.web.spans_asked import TracingSettings
from backend.commands.asking import KEY_VARIABLE
from backend.home.settings import HomeSettings
from backend.settings import GROUPS, Settings
from docs.making.markdown import begun, code, joined, table
from docs.making.settings_seen import Seen, settings_of

HEADINGS = ("Sides", "Flags", "Comparing", "The ramp", "Failing well", "The API", "This machine")
LEGACY_PREFIXES = ("YOLO26_", "RTDETR_")
OTHERS = {
    KEY_VARIABLE: "the key of the commands, where it is not `--key` and not `var/admin-key`",
    "NO_COLOR": "set to anything: no colours on a terminal; in a pipe there are none anyway (https://no-color.org)",
}


@dataclass(frozen=True)
class Section:
    heading: str
    intro: str
    rows: tuple[Seen, ...]

    def __str__(self) -> str:
        return f"## {self.heading}\n\n{self.intro}\n\n{_table(self.rows)}"


def page() -> str:
    others = [[code(name), meaning] for name, meaning in OTHERS.items()]
    return joined(
        begun("Configuration", "the settings", "configuration"),
        *map(str, sections()),
        "## Of the commands alone",
        "From the environment, not from `.env`.",
        table(("variable", "meaning"), others),
    )


def sections() -> list[Section]:
    """Of the backend in its groups, of the legacy services, of the embedded Triton, of tracing."""
    of_backend = [
        Section(heading, group.__doc__ or "", tuple(settings_of(group)))
        for heading, group in zip(HEADINGS, GROUPS, strict=True)
    ]
    return [*of_backend, _legacy(), _embedded(), _home(), _tracing()]


def known() -> frozenset[str]:
    """Every variable that is a setting."""
    return frozenset(OTHERS) | {name for section in sections() for row in section.rows for name in row.names}


def _legacy() -> Section:
    rows = settings_of(ServiceSettings, LEGACY_PREFIXES, required="8095, 8090")
    return Section(
        "The legacy services", "Each has its own, by its prefix ([legacy.md](legacy.md)).", tuple(rows)
    )


def _embedded() -> Section:
    intro = (
        "Of `python -m ai.triton.server` and of what `crossfade up` starts; most are also its options "
        "(`--http-port`, `--repository`, …, [triton.md](triton.md))."
    )
    rows = (row for row in settings_of(EmbeddedSettings) if not set(row.names) & _names(Settings))
    return Section("The embedded Triton", intro, tuple(rows))


def _home() -> Section:
    intro = "Of `crossfade mqtt`, which tells a home's automation ([home-assistant.md](home-assistant.md))."
    return Section("MQTT", intro, tuple(settings_of(HomeSettings)))


def _tracing() -> Section:
    intro = (
        "OpenTelemetry's own variables, from the environment alone; of its many others its library reads the rest "
        "([tracing.md](tracing.md))."
    )
    return Section("Tracing", intro, tuple(settings_of(TracingSettings, ("OTEL_",))))


def _names(tree: type[BaseSettings]) -> set[str]:
    return {name.upper() for name in tree.model_fields}


def _table(rows: Iterable[Seen]) -> str:
    lines = ([", ".join(map(code, row.names)), row.default, row.allowed, row.meaning] for row in rows)
    return table(("variable", "default", "allowed", "meaning"), lines)
