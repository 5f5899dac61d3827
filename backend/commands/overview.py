"""What `crossfade --help` teaches: where to begin, which commands there are, how they end, where settings come from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from ai.terminal.words import Words
from backend.commands.statuses import MEANING
from backend.commands.terminal import colour

GROUPS: Mapping[str, tuple[str, ...]] = {
    "First steps": ("up", "detect", "console", "status", "down"),
    "Serving": ("serve", "batch", "cameras"),
    "Steering": ("rollout", "ramp"),
    "Looking": ("compare", "logs", "mqtt"),
    "This machine": ("doctor", "models", "store", "bench", "completion"),
}
QUICK_START = (
    ("crossfade up --detach", "both legacy services, Triton and the backend, tried"),
    ("crossfade rollout set --fraction 0.25", "a quarter of the requests to Triton"),
    ('crossfade rollout rollback --reason "…"', "everything back to legacy, in under a second"),
)
SETTINGS = (
    "An option goes before an environment variable, that before .env in this folder, that before the default:",
    "docs/configuration.md names them all, and `crossfade doctor` says which is misspelt. Commands that ask a",
    "backend take --url and --key (CROSSFADE_KEY) for another machine's.",
)
FOR_SCRIPTS = (
    "With --json stdout holds JSON and nothing else: one document, or a line for each item of what goes on.",
    "What went wrong is told in words on stderr, by the status above, and stdout then may hold nothing.",
)
_NAME = 12  # columns


class Overview(Words):
    """The parser at the top, whose help is written by hand around the commands that were added to it."""

    def format_help(self) -> str:
        return "\n".join([*self._sections(), ""])

    def _sections(self) -> Iterator[str]:
        yield from (f"usage: {self.prog} COMMAND …", "", self.description or "", "")
        yield colour("Quick start", "head")
        yield from (f"  {command:41} {what}" for command, what in QUICK_START)
        for heading, names in self._groups():
            yield from ("", colour(heading, "head"))
            yield from (f"  {name:{_NAME}} {self._summary(name)}" for name in names)
        yield from ("", colour("Exit status", "head"))
        yield from (f"  {status:<{_NAME}} {meaning}" for status, meaning in MEANING.items())
        yield from ("", colour("For scripts", "head"), *(f"  {line}" for line in FOR_SCRIPTS))
        yield from ("", colour("Settings", "head"), *(f"  {line}" for line in SETTINGS), "")
        yield f"{self.prog} COMMAND --help says more, with examples."
        yield f"{self.prog} --trace COMMAND shows where something unexpected went wrong."

    def _groups(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What nobody has put into a group is there as well."""
        yield from GROUPS.items()
        grouped = {name for names in GROUPS.values() for name in names}
        if others := tuple(name for name in self.commands if name not in grouped):
            yield "More", others

    def _summary(self, name: str) -> str:
        text = (self.commands[name].description or "").split("\n")[0].removesuffix(".")
        return f"{text[:1].lower()}{text[1:]}"

    @property
    def commands(self) -> dict[str, argparse.ArgumentParser]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}
