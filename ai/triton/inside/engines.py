"""The engine that a served version asks for. Each is imported only where it is used: a stub should start quickly."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from ai.engines.engine import Engine
from ai.triton.inside.pipeline import Pipeline
from ai.triton.stored.served import GRAPH, TUNED, WEIGHTS, NotServable, Served


def build_engine(served: Served, version: Path, threads: int, device_id: str = "0") -> Engine:
    """`threads` is this instance's share of the processor, `device_id` its GPU."""
    graph = version / GRAPH
    if served.engine == "openvino":
        from ai.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415

        return OpenVinoEngine(graph, "f32" if served.precision == "int8" else served.precision, threads)
    if served.engine == "onnxruntime":
        from ai.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: PLC0415

        return OnnxRuntimeEngine(graph, threads)
    if served.engine == "torch":
        return _torch_engine(served, version, device_id)
    raise NotServable(f"engine {served.engine!r} does not run in this process")


def _torch_engine(served: Served, version: Path, device_id: str) -> Engine:
    from ai.engines.graphed_engine import GraphedEngine  # noqa: PLC0415
    from ai.triton.inside.families import load_network  # noqa: PLC0415

    if served.family is None or served.head is None:
        raise NotServable("the engine 'torch' needs a network's family, not a graph alone")
    weights = version / WEIGHTS
    network = load_network(served.family, served.head, weights if weights.is_file() else None)
    tuned_in = version / TUNED if served.tuned else None
    return GraphedEngine(network, served.head, served.batch_sizes, device_id, tuned_in)


def build_pipeline(served: Served, engine: Engine, threads: int) -> Pipeline:
    """On a GPU the whole way is there, where its decoder is."""
    if served.engine == "torch" and served.decode == "gpu" and find_spec("torchvision"):
        from ai.engines.graphed_engine import GraphedEngine  # noqa: PLC0415
        from ai.triton.inside.gpu_pipeline import GpuPipeline  # noqa: PLC0415

        if isinstance(engine, GraphedEngine):
            return GpuPipeline(served.spec, engine, threads)
    return Pipeline(served.spec, engine, threads, scaled=served.decode == "scaled")


def usable_threads() -> int:
    return len(os.sched_getaffinity(0))
