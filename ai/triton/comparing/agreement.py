"""What the comparisons of many pictures come to: the figures of a certificate. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ai.core.matching import SHARED, Comparison
from ai.triton.comparing.certificate import Agreement, Tally

THRESHOLD = 0.25


def summary(comparisons: Sequence[Comparison]) -> Agreement:
    pairs = [pair for one in comparisons for pair in one.pairs]
    ious = np.array([pair.iou for pair in pairs])
    scores = np.array([pair.score_difference for pair in pairs])
    if not pairs:
        return Agreement(by_class=_by_class(comparisons))
    return Agreement(
        pairs=len(pairs),
        iou_mean=float(ious.mean()),
        iou_p1=float(np.percentile(ious, 1)),
        iou_min=float(ious.min()),
        score_difference_mean=float(scores.mean()),
        score_difference_p99=float(np.percentile(scores, 99)),
        score_difference_max=float(scores.max()),
        by_class=_by_class(comparisons),
    )


def _by_class(comparisons: Sequence[Comparison]) -> dict[str, Tally]:
    counts: dict[str, Counter[str]] = {}
    for one in comparisons:
        own = [seen for seen in one.other if seen.kind not in SHARED]  # legacy's side has those
        for seen in (*one.legacy, *own):
            counts.setdefault(seen.detection.label, Counter())[seen.kind] += 1
    return {label: Tally(**counts[label]) for label in sorted(counts)}
