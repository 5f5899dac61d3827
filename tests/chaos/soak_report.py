"""How the soak is shown, a line a minute and a table at the end, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.chaos.leaks import ours
from tests.chaos.reporting import as_text, machine
from tests.chaos.sampling import Sample

if TYPE_CHECKING:
    from tests.chaos.soak import Soak

MOST_KEPT = 60  # samples in the file
PERCENTILES = (50, 95, 99, 100)


def minute(soak: Soak) -> str:
    assert soak.load is not None
    latest, kept = soak.samples[-1], soak.load.kept
    of_ours = ours(latest).values()
    fault = soak.suffered[-1] if soak.suffered else None
    return (
        f"{latest.at_s / 60:6.1f} min  {len(kept):7} answered, {kept.failed} failed"
        f"  {sum(one.uss_mib for one in of_ours):7.1f} MiB  {sum(one.descriptors for one in of_ours):4} descriptors"
        f"  {sum(one.threads for one in of_ours):3} threads  {sum(one.tasks or 0 for one in of_ours):4} tasks"
        f"  {sum(latest.series.values()):5} series  store {latest.var_mib.get('store', 0):.1f} MiB"
        + (f"  {fault.name}: {fault.wrong or f'over after {fault.took_s:.1f} s'}" if fault else "")
    )


def table(soak: Soak) -> str:
    document = to_table(soak)
    asked = document["requests"]
    lines = [
        f"{document['lasted_s']} s at {document['per_s']}/s ({document['capacity_per_s']}), seed {document['seed']}"
        + (", interrupted" if document["interrupted"] else ""),
        f"{asked['answered']} requests, {asked['failed']} failed; ms: {asked['took_ms']}; {asked['outcomes']}",
        *(
            f"{'pass' if one['holds'] else 'FAIL'}  {one['kind']:12} {one['words']}"
            for one in document["verdict"]
        ),
    ]
    memory = next((one["figures"] for one in document["verdict"] if one["kind"] == "memory"), {})
    if memory:
        lines.append(f"      MiB by 100,000 requests, each: {memory['by_process']}")
    return "\n".join(lines)


def keep(soak: Soak, file: Path | None) -> None:
    if file is None or soak.load is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".part")
    aside.write_text(as_text(to_table(soak)))
    aside.replace(file)


def to_table(soak: Soak) -> dict[str, Any]:
    assert soak.load is not None
    kept, plan = soak.load.kept, soak.plan
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(),
        "seed": plan.seed, "planned_s": round(plan.lasts_s), "lasted_s": round(_lasted_s(soak)),
        "interrupted": soak.interrupted, "fault_every_s": plan.fault_every_s, "leaks": list(plan.leaks),
        "capacity_per_s": soak.capacity_per_s, "per_s": soak.per_s, "warm_at_s": round(plan.warm_at_s),
        "requests": {
            "answered": len(kept), "failed": kept.failed, "skipped": soak.load.skipped, "failures": kept.failures,
            "outcomes": dict(kept.outcomes.most_common()), "took_ms": _percentiles(kept.took_ms),
        },
        "verdict": [
            {"kind": one.kind, "holds": one.holds, "words": one.words, "figures": dict(one.figures)}
            for one in soak.verdict()
        ],
        "faults": [one.to_table() for one in soak.suffered],
        "samples": [one.to_table() for one in _thinned(soak.samples)],
    }  # fmt: skip


def _lasted_s(soak: Soak) -> float:
    return soak.samples[-1].at_s if soak.samples else 0.0


def _percentiles(took_ms: Sequence[float]) -> dict[str, float]:
    if not took_ms:
        return {}
    found = np.percentile(np.array(took_ms), PERCENTILES)
    return {f"p{percent}": round(float(value), 1) for percent, value in zip(PERCENTILES, found, strict=True)}


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    step = max(1, -(-len(samples) // MOST_KEPT))
    return samples[::step]
