"""The check of a random run, from what it left: `python -m tests.chaos.random_check FOLDER`.

Prints each rule that was broken, with the requests that break it and what was going on around them, and the run's
figures; keeps both in FOLDER/verdict.json. Ends with 1 where a rule was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos import random_answers, random_flags
from tests.chaos.random_deeds import Deed
from tests.chaos.random_load import Asked
from tests.chaos.random_record import Check, Record, is_patient

RULES = (*random_answers.RULES, *random_flags.RULES)
SHOWN = 4  # examples of each
AROUND_S = 3.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.random_check", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args(arguments).folder
    check = checked(Record.read(folder))
    figures = figures_of(check)
    verdict = {"broken": {rule: len(cases) for rule, cases in check.wrong.items()}, **figures}
    (folder / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
    for rule in check.wrong:
        print(told(check, rule))
    print(json.dumps(figures, indent=1))
    print(f"{len(check.wrong)} rules are broken" if check.wrong else "every rule holds")
    return int(bool(check.wrong))


def checked(record: Record) -> Check:
    check = Check(record)
    for rule in RULES:
        rule(check)
    return check


def told(check: Check, rule: str) -> str:
    """One rule: how often it was broken, the first of the requests, and what went on around each."""
    cases = check.wrong[rule]
    lines = [f"BROKEN: {rule} ({len(cases)})"]
    for words, one in cases[:SHOWN]:
        lines.append(f"  {words}")
        if one is not None:
            lines.append(f"    {_of_request(one)}")
            lines += [f"      {_of_deed(deed, one)}" for deed in _around(check.record, one)]
    return "\n".join(lines)


def _of_request(one: Asked) -> str:
    served = f"by {one.side}, {one.reason}, fallback {one.fallback_reason}, version {one.flag_version}"
    return (
        f"request {one.number} of {one.camera} at {one.sent:.3f}, {one.ended - one.sent:.3f} s: "
        f"{one.status} {served if one.status == 200 else one.error}"
    )


def _of_deed(deed: Deed, one: Asked) -> str:
    words = f" {dict(deed.words)}" if deed.words else ""
    outcome = f" -> {deed.outcome}" if deed.outcome else ""
    return f"{deed.began - one.sent:+.2f} to {deed.ended - one.sent:+.2f} s: {deed.name}{words}{outcome}"


def _around(record: Record, one: Asked) -> list[Deed]:
    return list(record.deeds_between(one.sent - AROUND_S, one.ended + AROUND_S))


def figures_of(check: Check) -> dict[str, Any]:
    record = check.record
    answered = [one for one in record.asked if one.status]
    served = [one for one in record.asked if one.status == 200]
    took_ms = sorted(1000 * (one.ended - one.sent) for one in answered) or [0.0]
    return {
        "requests": len(record.asked),
        "statuses": _counts(str(one.status) for one in record.asked),
        "hung_up": sum(1 for one in record.asked if not one.status and not is_patient(one)),
        "served": _counts(one.side for one in served),
        "decided": _counts(line.reason for line in record.lines),
        "fallbacks": _counts(one.fallback_reason for one in served if one.fallback_reason),
        "excused": dict(check.excused),
        "median_ms": round(took_ms[len(took_ms) // 2], 1),
        "longest_ms": round(took_ms[-1]),
        "longest_control_ms": round(1000 * max((took for _, took in record.controls), default=0.0)),
        "deeds": _counts(deed.name for deed in record.deeds),
        "deeds_that_failed": [
            f"{deed.name}: {deed.outcome['error']}"
            for deed in record.deeds
            if "error" in deed.outcome and "status" not in deed.outcome
        ],
        "versions": len(record.history),
        "rollbacks_acknowledged": len(random_flags.acknowledged(record, "rollback")),
    }


def _counts(names: Any) -> dict[str, int]:
    return dict(Counter(names).most_common())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
