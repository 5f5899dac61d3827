"""What no server is needed for, in a process of its own that prints JSON: `python -m benchmarks.cpu.alone VERSION…`.

The engines in plain loops, what each stage costs, and OpenVINO's threads and streams.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ai.triton.building import catalogue
from ai.triton.building.source import Source
from ai.triton.inside.engines import usable_threads
from ai.triton.stored.served import GRAPH, Served
from benchmarks.comparison import Alone
from benchmarks.cpu.arrangements import arrangements
from benchmarks.cpu.stages import costs
from benchmarks.loops import paces, pipelines_of


def alone(source: Source, versions: Sequence[Path], pictures: Sequence[bytes], seconds: float) -> Alone:
    pipelines = pipelines_of(source, versions)
    graph = next((version / GRAPH for version in versions if _is_plain(version)), None)
    return Alone(
        paces(pipelines, pictures, seconds),
        costs(pipelines, pictures),
        arrangements(graph, usable_threads(), seconds) if graph else (),
    )


def _is_plain(version: Path) -> bool:
    served = Served.load(version)
    return (served.engine, served.precision) == ("openvino", "f32")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cpu.alone", description=__doc__)
    parser.add_argument("versions", nargs="+", type=Path, help="folders of built versions")
    parser.add_argument("--pictures", nargs="+", type=Path, required=True)
    parser.add_argument("--detector", choices=catalogue.BUILT_IN, default="yolo26")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each engine, batch size and arrangement"
    )
    options = parser.parse_args(arguments)
    pictures = [path.read_bytes() for path in options.pictures]
    source = catalogue.built_in(options.detector)
    print(json.dumps(asdict(alone(source, options.versions, pictures, options.seconds))))


if __name__ == "__main__":
    main()
