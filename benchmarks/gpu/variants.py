"""The ways in which Triton serves a network on a GPU: compiled or not, instances, how long a batch is waited for."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.variants import PIXELS, Variant

MAIN, OFF = "tuned", "off"
_TUNED = Variant(MAIN, precision="f16", engine="torch", decode="gpu", tuned=True)

GPU_VARIANTS = {
    variant.name: variant
    for variant in (
        replace(_TUNED, also=(*PIXELS, "tiers")),
        replace(_TUNED, name=OFF, batched=False),
        replace(_TUNED, name="graph", tuned=False),
        replace(_TUNED, name="one", instances=1),
        replace(_TUNED, name="two", instances=2),
        replace(_TUNED, name="eight", instances=8),
        replace(_TUNED, name="no_wait", queue_delay_ms=0.0),
        replace(_TUNED, name="long_wait", queue_delay_ms=5.0),
    )
}
WORDS = {
    MAIN: "compiled, four instances, 1 ms",
    OFF: "the same, batching off",
    "graph": "the same, not compiled",
    "one": "the same, one instance",
    "two": "the same, two instances",
    "eight": "the same, eight instances",
    "no_wait": "the same, no delay",
    "long_wait": "the same, 5 ms",
}
