"""The suites: what each answers, how long it takes and what it needs. `python -m benchmarks` lists and runs them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.entry.needs import ENVIRONMENT, NVIDIA_GPU, TESTS, TRITON, Need

QUICK = ("--quick",)


@dataclass(frozen=True, slots=True)
class Suite:
    name: str
    module: str
    answers: str
    minutes: float  # on 2 quiet cores; on its GPU where it needs one
    needs: tuple[Need, ...] = ()
    quick: tuple[str, ...] | None = QUICK  # the words of its quick form; None: it has none
    takes_out: bool = True  # --out FOLDER
    shown: str = "docs/performance.md"  # where its figures stand

    @property
    def missing(self) -> tuple[Need, ...]:
        return tuple(need for need in self.needs if not need.is_here())


_FROM_THE_NETWORK_UP = (TRITON, ENVIRONMENT)

SUITES = (
    Suite(
        "cpu", "benchmarks.cpu", "Triton on a processor against the legacy service, by track and engine", 60,
        _FROM_THE_NETWORK_UP,
    ),
    Suite(
        "overhead", "benchmarks.overhead", "what the client, the backend, shadow, stores and metrics cost", 2,
        _FROM_THE_NETWORK_UP,
    ),
    Suite(
        "growth", "benchmarks.growth", "what gets slower with callers, pixels, boxes, cameras and rows", 15,
        _FROM_THE_NETWORK_UP, shown="docs/scaling.md",
    ),
    Suite(
        "gpu", "benchmarks.gpu", "the same tracks on a GPU, and what keeps it from its limit", 30,
        (NVIDIA_GPU, *_FROM_THE_NETWORK_UP),
    ),
    Suite(
        "rate", "benchmarks.rate", "open loop: the highest rate that legacy and Triton answer in time", 15,
        _FROM_THE_NETWORK_UP,
    ),
    Suite(
        "judge", "benchmarks.judge", "whether Triton's own perf_analyzer counts as our generator does", 6,
        _FROM_THE_NETWORK_UP,
    ),
    Suite("load", "benchmarks.load", "what the load generator itself reaches, closed and open", 4),
    Suite("baseline", "benchmarks.baseline", "how fast the legacy services are", 11, (ENVIRONMENT,)),
    Suite("client", "benchmarks.client", "what TritonClient costs over the bare gRPC stub", 4, (TRITON,)),
    Suite(
        "backend", "benchmarks.backend", "what the backend costs over a bare route, and before Triton", 10,
        _FROM_THE_NETWORK_UP,
    ),
    Suite(
        "tracing", "benchmarks.tracing_cost", "what tracing costs a request", 1, (ENVIRONMENT,),
        quick=("--repeats=2", "--calls=50"), takes_out=False, shown="docs/tracing.md",
    ),
    Suite(
        "capacity", "benchmarks.capacity", "how many cameras this machine holds, by engine", 15,
        _FROM_THE_NETWORK_UP, shown="docs/cameras.md",
    ),
    Suite(
        "batch", "benchmarks.batch", "a folder of pictures: `crossfade batch` against one by one", 10,
        _FROM_THE_NETWORK_UP, shown="docs/batch.md",
    ),
    Suite(
        "frigate", "benchmarks.frigate", "how many of Frigate's crops are answered within its patience", 6,
        _FROM_THE_NETWORK_UP, shown="docs/frigate.md",
    ),
    Suite("evidence", "benchmarks.evidence", "how often the ramp's tests are wrong", 7, shown="docs/evidence.md"),
    Suite(
        "ramp", "benchmarks.ramp_simulation", "whole ramps of the real controller, healthy and faulty", 10,
        quick=None, takes_out=False, shown="docs/ramp.md",
    ),
    Suite(
        "proof", "benchmarks.proof", "whether each planted fault is caught, everything being real", 30,
        (*_FROM_THE_NETWORK_UP, TESTS), quick=None, takes_out=False, shown="docs/proof.md",
    ),
)  # fmt: skip
BY_NAME = {suite.name: suite for suite in SUITES}
