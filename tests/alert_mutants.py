"""Alerts that are wrong in one place each: a clause less, a threshold that is half or double, a label that is not asked
for, no wait. A test of an alert that lets one of them pass is no test of that place.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

Rule = dict[str, Any]

_COMPARED = re.compile(r"(>=|<=|==|>|<)(\s*)(-?\d+(?:\.\d+)?)(?![\w.])")
_WIDER = {"==": ">=", ">": ">=", "<": "<=", ">=": ">", "<=": "<"}  # for a zero, which has no half
_SET = re.compile(r"\s(and|unless|or)\b(\s+on\s*\([^)]*\))?")
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"[^\"]*\"")


def mutants_of(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """What was done to it, and what it is now."""
    for words, expression in _expressions(rule["expr"]):
        yield words, rule | {"expr": expression}
    yield "never fires", rule | {"expr": f"({rule['expr']}) > bool Inf == 1"}
    for name in ("for", "keep_firing_for"):
        if name in rule:
            yield f"no {name}", {key: value for key, value in copy.copy(rule).items() if key != name}


def _expressions(text: str) -> Iterator[tuple[str, str]]:
    yield from _thresholds(text)
    yield from _without_a_clause(text)
    yield from _without_a_matcher(text)


def _thresholds(text: str) -> Iterator[tuple[str, str]]:
    for found in _COMPARED.finditer(text):
        sign, space, number = found.groups()
        for change in _changes(sign, space, float(number)):
            yield f"{found[0]} became {change}", text[: found.start()] + change + text[found.end() :]


def _changes(sign: str, space: str, number: float) -> list[str]:
    if sign == "==" and number == 1:
        return [f"<={space}1"]
    if sign == "==" or number == 0:
        return [f"{_WIDER[sign]}{space}{number:g}"]
    return [f"{sign}{space}{number * factor:g}" for factor in (0.5, 2)]


def _without_a_clause(text: str) -> Iterator[tuple[str, str]]:
    for found in _SET.finditer(text):
        begin, end = _operand_before(text, found.start()), _operand_after(text, found.end())
        yield f"without {text[found.start() : end].strip()}", text[: found.start()] + text[end:]
        if found[1] == "or":
            yield f"without {text[begin : found.end()].strip()}", text[:begin] + text[found.end() :]


def _operand_after(text: str, start: int) -> int:
    """Where it ends: at the next set operator, or the bracket that closes around it."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "({[") - (text[at] in ")}]")
        if depth < 0 or (depth == 0 and at > start and _SET.match(text, at)):
            return at
    return len(text)


def _operand_before(text: str, end: int) -> int:
    depth = 0
    for at in range(end - 1, -1, -1):
        depth += (text[at] in ")}]") - (text[at] in "({[")
        if depth < 0:
            return at + 1
    return 0


def _without_a_matcher(text: str) -> Iterator[tuple[str, str]]:
    for selector in _SELECTOR.finditer(text):
        matchers = [found[0] for found in _MATCHER.finditer(selector[1])]
        for matcher in matchers:
            left = ", ".join(one for one in matchers if one != matcher)
            changed = text[: selector.start()] + "{" + left + "}" + text[selector.end() :]
            yield f"without {matcher} at {selector.start()}", changed
