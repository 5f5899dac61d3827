"""The suites in words: a table for people, data for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.suites import SUITES, Suite

HOW = (
    "",
    "crossfade bench cpu overhead        one after the other; results in benchmarks/results",
    "crossfade bench --quick cpu         a minute or two, into var/benchmarks: shows that it works, no more",
    "crossfade bench all                 each that can run here",
    "crossfade bench client -- --rounds 3     words after -- are the suite's own; `-- --help` names them",
    "The minutes are those of 2 quiet cores. A figure counts when nothing else runs meanwhile.",
)


def as_text(suites: Iterable[Suite] = SUITES) -> str:
    return "\n".join([*_rows(list(suites)), *HOW])


def as_data(suites: Iterable[Suite] = SUITES) -> list[dict[str, object]]:
    return [
        {
            "name": suite.name,
            "module": suite.module,
            "answers": suite.answers,
            "minutes": suite.minutes,
            "needs": [need.name for need in suite.needs],
            "missing": [need.name for need in suite.missing],
            "quick": suite.quick is not None,
            "shown": suite.shown,
        }
        for suite in suites
    ]


def lacks(suite: Suite) -> str:
    """What it needs and this machine does not have, and how to get that."""
    return "; ".join(f"{need.name}: {need.how}" for need in suite.missing)


def _rows(suites: list[Suite]) -> Iterator[str]:
    name, answers = (
        max(map(len, words)) for words in zip(*((s.name, s.answers) for s in suites), strict=True)
    )
    yield f"{'suite':{name}}  {'what it answers':{answers}}  minutes  needs"
    for suite in suites:
        yield f"{suite.name:{name}}  {suite.answers:{answers}}  {suite.minutes:7g}  {_needs(suite)}".rstrip()


def _needs(suite: Suite) -> str:
    missing = suite.missing
    return ", ".join(f"{need.name} (not here)" if need in missing else need.name for need in suite.needs)
