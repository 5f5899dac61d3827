"""What listens to a request, each alone: metrics, the log in its forms, the evidence's recorder, and all of them.

python -m benchmarks.overhead.observers
PROMETHEUS_MULTIPROC_DIR=DIR python -m benchmarks.overhead.observers --several DIR    # as one of several workers
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from backend.observe.events import Observer, told
from backend.observe.logs import RequestLog
from backend.observe.metrics import Metrics
from backend.observe.writer import Writer
from backend.ramp.headrooms import Headrooms
from backend.rollout.control import Rollout
from backend.settings import Settings
from backend.shadow.recorder import Recorder
from benchmarks.detect_cost import Part, Work, in_turns, telling

METRICS, SEVERAL = "metrics", "metrics, as one of several workers"
ALL = "all, as the backend has them"


async def costs(repeats: int, calls: int, directory: Path | None) -> list[Part]:
    """`directory`: where the figures of several workers lie; prometheus_client was told of it before its import."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        settings = Settings(_env_file=None, crossfade_var=Path(folder), rollout_store="memory:")
        rollout = Rollout.opened(settings, told(), "benchmark", Path(folder) / ".env")
        await rollout.start()
        writer = Writer(nowhere, "json")
        try:
            listeners = _listeners(settings, rollout, writer, Metrics(directory), directory is not None)
            return await in_turns(_works(listeners), repeats, calls)
        finally:
            writer.close()
            await rollout.stop()


def _listeners(
    settings: Settings, rollout: Rollout, writer: Writer, metrics: Metrics, several: bool
) -> dict[str, Observer]:
    if several:
        return {SEVERAL: told(metrics)}
    log, recorder = RequestLog(writer, 1.0, "json"), Recorder(rollout, settings, "benchmark")
    return {
        METRICS: told(metrics),
        "log line, JSON": told(log),
        "log line, text": told(RequestLog(writer, 1.0, "text")),
        "log, LOG_SAMPLE=0.01": told(RequestLog(writer, 0.01, "json")),
        "recorder of the evidence": told(recorder),
        ALL: told(metrics, log, recorder, Headrooms()),
    }


def _works(listeners: dict[str, Observer]) -> dict[str, Work]:
    return {name: telling(observe) for name, observe in listeners.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead.observers", description="JSON out.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--several", type=Path, help="the folder that PROMETHEUS_MULTIPROC_DIR names")
    told_of = parser.parse_args(arguments)
    parts = uvloop.run(costs(told_of.repeats, told_of.calls, told_of.several))
    print(json.dumps([asdict(part) for part in parts]))


if __name__ == "__main__":
    main()
