"""What is proven, and how fast things go meanwhile: bounds as they are by default, waits that are cut short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults import FAULTS

HEALTHY = "none"

# The cameras are drawn: each frame shows other objects, so that no two samples are one scene. What a ramp of weeks
# waits for by the clock is not waited for; what it asks for in samples is asked for in full.
QUICK = {
    "EVIDENCE_CAMERA_GAP_S": "0",
    "EVIDENCE_LATENCY_GAP_S": "0",
    "EVIDENCE_FLUSH_S": "0.25",
    "RAMP_LOOK_S": "0.25",
    "RAMP_STEP_S": "0",
}


@dataclass(frozen=True, slots=True)
class Case:
    fault: str
    per_s: float = (
        12.0  # at most: 2 quiet cores carry 35 inferences of legacy a second, and comparing takes some too
    )
    shadow: float = 0.6
    timeout_s: float = 420.0
    changed: Mapping[str, str] = field(default_factory=dict)  # from the defaults; docs/proof.md says why

    @property
    def title(self) -> str:
        return "healthy" if self.fault == HEALTHY else self.fault

    @property
    def variables(self) -> dict[str, str]:
        return {**QUICK, **self.changed}


# At a share of 10 % a bound of 0.1 % errors takes 33,000 requests to earn. A healthy ramp is shown at 1 %.
_HEALTHY = Case(HEALTHY, timeout_s=1500.0, changed={"RAMP_ERRORS": "0.01"})
# What callers wait is what is compared here, and comparisons would keep both cores busy.
_SLOW = Case("slow", per_s=8.0, shadow=0.1)
_ERRORS = Case("errors", per_s=24.0, shadow=0.1, timeout_s=900.0)
_OWN = {case.fault: case for case in (_SLOW, _ERRORS)}
_LAST = "dying"  # nothing is served afterwards

CASES: tuple[Case, ...] = (
    *(_OWN.get(name, Case(name)) for name in FAULTS if name != _LAST),
    _HEALTHY,
    Case(_LAST),
)
