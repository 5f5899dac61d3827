"""Lists the suites and runs them: `python -m benchmarks`, which `crossfade bench` calls.

    python -m benchmarks                       what suites there are, how long each takes, what it needs
    python -m benchmarks cpu overhead          one after the other
    python -m benchmarks client -- --rounds 3  words after -- are the suite's own

Exit status 0: each ran to its end and found no failed request; 1: one failed; 2: the words were not understood;
5: one cannot run here, and none failed; 130: stopped, everything that was started having ended.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ai.terminal.ending import ended
from ai.terminal.interrupting import let_through
from ai.terminal.words import Words, like
from benchmarks.entry import listing
from benchmarks.entry.needs import CANNOT_RUN_HERE
from benchmarks.entry.running import FAILED, NOT_HERE, STOPPED, Ended, Wanted, run
from benchmarks.suites import BY_NAME, SUITES, Suite

ALL = "all"
STATUSES = {STOPPED: 130, FAILED: 1, NOT_HERE: CANNOT_RUN_HERE}  # the first of them that any suite came to


def arguments_of(words: Sequence[str]) -> argparse.Namespace:
    parser = _InAnyOrder(prog="crossfade bench", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(BY_NAME)}; or {ALL}")
    parser.add_argument("--list", action="store_true", help="what there is, and no more")
    parser.add_argument("--quick", action="store_true", help="a minute or two each, into var/benchmarks")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="of the results")
    parser.add_argument("--from", dest="here", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="JSON on stdout; what suites print is on stderr")
    ours, more = _parted(words)
    asked = parser.read(ours)
    asked.more = tuple(more)
    for name in asked.suites:
        if name not in (*BY_NAME, ALL):
            parser.error(f"there is no suite {name!r}{like(name, [*BY_NAME, ALL])}")
    if more and len(chosen(asked.suites)) != 1:
        parser.error("words after -- are one suite's: name one")
    return asked


class _InAnyOrder(Words):
    """Names may stand before options, between them and after; argparse reads in two turns for that."""

    parse_known_args = argparse.ArgumentParser.parse_known_args  # type: ignore[assignment]

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        asked, left = self.parse_known_intermixed_args(words)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}{self._like_an_option(left)}")
        return asked


def chosen(names: Sequence[str]) -> list[Suite]:
    """In the order they were named, each once."""
    if ALL in names:
        return list(SUITES)
    return [BY_NAME[name] for name in dict.fromkeys(names)]


def main(words: Sequence[str] | None = None) -> int:
    asked = arguments_of(sys.argv[1:] if words is None else words)
    suites = chosen(asked.suites)
    if asked.list or not suites:
        shown = suites or SUITES
        print(json.dumps(listing.as_data(shown), indent=2) if asked.json else listing.as_text(shown))
        return 0
    out = str(asked.here / asked.out) if asked.out else None
    results = []
    for one in run(suites, Wanted(asked.quick, out, asked.more, on_stderr=asked.json)):
        results.append(one)
        print(one.sentence, file=sys.stderr, flush=True)
    if asked.json:
        print(json.dumps([asdict(one) for one in results], indent=2))
    return status_of(results, forgiving=ALL in asked.suites)


def status_of(results: Sequence[Ended], forgiving: bool = False) -> int:
    """`forgiving`: of all suites, those that cannot run here were not asked for by name."""
    outcomes = {one.outcome for one in results}
    for outcome, status in STATUSES.items():
        if outcome in outcomes and not (forgiving and outcome == NOT_HERE):
            return status
    return 0


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before -- is ours."""
    place = list(words).index("--") if "--" in words else len(words)
    return list(words[:place]), list(words[place + 1 :])


if __name__ == "__main__":
    let_through()  # `crossfade bench` put Ctrl-C off until here
    sys.exit(ended(main, "crossfade bench"))
