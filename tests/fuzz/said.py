"""What may come out of a spoiled answer: boxes that can be true and are those that were said, or a short error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from ai.core.detections import Detections
from ai.core.errors import BackendError
from tests.fuzz.target import hold

MAX_WORDS = 2_000  # an error's sentence goes into logs and answers


def refused(error: BackendError) -> str:
    words = str(error)
    hold(type(error) is not BackendError, "the error is of no kind")
    hold(0 < len(words) < MAX_WORDS, f"an error of {len(words):,} characters: {words[:200]}")
    json.dumps(words)
    return type(error).__name__


def check_believed(found: Detections, said: Iterable[Sequence[Any]]) -> None:
    """`said`: x1, y1, x2, y2, score, class id, label of each, in any order."""
    for one in found:
        hold(all(map(math.isfinite, one[:5])), f"no numbers: {one}")
        hold(-1 <= one.x1 < one.x2 <= found.image_width + 1, f"outside: {one}")
        hold(-1 <= one.y1 < one.y2 <= found.image_height + 1, f"outside: {one}")
        hold(0 <= one.score <= 1 and bool(one.label), f"no score or no label: {one}")
    hold(sorted(found) == sorted(map(tuple, said)), f"{len(found)} boxes are not those that were said")
    for one in found:
        one.label.encode()  # it is stored, and stands in pages
    scores = [one.score for one in found]
    hold(scores == sorted(scores, reverse=True), "the best does not come first")
