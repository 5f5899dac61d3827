"""What a GPU does without a server: the bare network by batch size, its decoder, and where a batch's time goes.

    python -m benchmarks.gpu.bare yolo26 --weights demo --pictures a.jpg b.jpg

JSON on stdout. Every figure is the median of several windows; the stages are timed with the GPU waited for after each,
so that they add up to more than the whole, in which they overlap. `call beside` is nvJPEG given so many pictures in one
call while the network is at work on batches of the largest size, and `network beside` what the network does meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ai.core.spec import DetectorSpec
from ai.engines.graphed_engine import GraphedEngine
from ai.engines.torch_engine import DetectorModule
from ai.triton.building import catalogue
from ai.triton.inside.families import load_network
from ai.triton.inside.pipeline import filled, finished
from benchmarks.gpu.report import Bare, Rate

SIZES = (1, 2, 4, 8, 16, 32, 64)
WINDOWS = 5
WINDOW_S = 0.25
BESIDE_S = 0.5
WARM_UP_RUNS = 3
MATMUL_SIDE = 8192
DECODE_THREADS = 4


def measured(
    detector: str, weights: str, pictures: Sequence[bytes], sizes: Sequence[int], compiled_in: Path | None
) -> Bare:
    """Builds one engine after the other, and forgets it."""
    source = catalogue.built_in(detector)
    assert source.family is not None
    assert source.head is not None
    network = load_network(source.family, source.head, None if weights == "demo" else Path(weights))
    module = DetectorModule(network, source.head).eval()
    device = torch.device("cuda:0")
    flops, matmul = flops_of(module, source.head.input_height), matmul_rate(device)
    eager = module.to(device).half().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rates = _rates("eager", eager, sizes, device, source.head.input_height)
    stages_us: dict[int, dict[str, float]] = {}
    for what, folder in (("graph", None), *([("compiled", compiled_in)] if compiled_in else [])):
        engine = GraphedEngine(network, source.head, sizes, "0", folder)
        rates += _rates(what, engine.infer_tensor, sizes, device, source.head.input_height)
        if folder == compiled_in:
            rates += _pipeline_rates(source.spec, engine, pictures, sizes, stages_us)
        del engine
        torch.cuda.empty_cache()
    return Bare(torch.cuda.get_device_name(device), flops, matmul, tuple(rates), stages_us)


def flops_of(module: torch.nn.Module, side: int) -> float:
    """Of one picture: multiplications and additions of its convolutions and products."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module.float()(torch.zeros((1, 3, side, side), dtype=torch.uint8))
    return float(counter.get_total_flops())


def matmul_rate(device: torch.device) -> float:
    left, right = (torch.randn(MATMUL_SIDE, MATMUL_SIDE, device=device).half() for _ in range(2))
    return 2.0 * MATMUL_SIDE**3 / seconds_of(partial(torch.matmul, left, right))


@torch.inference_mode()
def seconds_of(work: Callable[[], object]) -> float:
    """One run's, with the GPU always busy: the median of the windows."""
    for _ in range(WARM_UP_RUNS):
        work()
    return statistics.median(_window(work) for _ in range(WINDOWS))


def _window(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < WINDOW_S:
        work()
        runs += 1
        if runs % 8 == 0:
            torch.cuda.synchronize()  # or thousands would be queued, and the window long over
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / runs


def _rates(
    what: str, run: Callable[[Tensor], Tensor], sizes: Sequence[int], device: torch.device, side: int
) -> list[Rate]:
    found = []
    for size in sizes:
        pixels = torch.randint(0, 255, (size, 3, side, side), dtype=torch.uint8, device=device)
        found.append(Rate(what, size, size / seconds_of(partial(run, pixels))))
    return found


def _pipeline_rates(
    spec: DetectorSpec, engine: GraphedEngine, pictures: Sequence[bytes], sizes: Sequence[int],
    stages_us: dict[int, dict[str, float]],
) -> list[Rate]:  # fmt: skip
    """The whole way, and its parts."""
    from ai.triton.inside.gpu_pipeline import DECODERS, GpuPipeline  # noqa: PLC0415 - torchvision, where there is a GPU

    pipeline, found = GpuPipeline(spec, engine, DECODE_THREADS), []
    for size in sizes:
        images = [pictures[number % len(pictures)] for number in range(size)]
        found.append(Rate("pipeline", size, size / seconds_of(partial(pipeline.detect, images))))
        found.append(Rate("decode", size, size / seconds_of(partial(pipeline.decoded, images))))
        stages_us[size] = _stages_us(pipeline, images)
    for size in sorted({*sizes, DECODERS}):
        images = [pictures[number % len(pictures)] for number in range(size)]
        found += _beside_rates(pipeline, images, max(sizes))
    pipeline.close()
    return found


def _beside_rates(pipeline: Any, images: Sequence[bytes], batch: int) -> Iterator[Rate]:
    """Both at once, each in a thread and a stream of its own."""
    with _network_at_work(pipeline, batch) as runs:
        decode = partial(_in_stream, torch.cuda.Stream(), partial(pipeline.decoded_in_one_call, images))  # type: ignore[no-untyped-call]
        for _ in range(WARM_UP_RUNS):
            decode()
        before, began, count = runs(), time.perf_counter(), 0
        while time.perf_counter() - began < BESIDE_S:
            decode()
            count += 1
        took = time.perf_counter() - began
        network = (runs() - before) * batch / took
    yield Rate("call beside", len(images), count * len(images) / took)
    yield Rate("network beside", len(images), network)


@contextmanager
def _network_at_work(pipeline: Any, batch: int) -> Iterator[Callable[[], int]]:
    """Batch after batch, two of them queued; the function says how many there were."""
    spec, ended, done = pipeline.spec, threading.Event(), [0]
    pixels = torch.randint(
        0, 255, (batch, 3, spec.input_height, spec.input_width), dtype=torch.uint8, device="cuda"
    )

    @torch.inference_mode()
    def work() -> None:
        stream, before = torch.cuda.Stream(), None  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            while not ended.is_set():
                pipeline.engine.infer_tensor(pixels)
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record()
                if before is not None:
                    before.synchronize()
                    done[0] += 1
                before = event
        stream.synchronize()

    thread = threading.Thread(target=work)
    torch.cuda.synchronize()
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        ended.set()
        thread.join()


@torch.inference_mode()
def _in_stream(stream: Any, work: Callable[[], object]) -> None:
    with torch.cuda.stream(stream):
        held = work()
    stream.synchronize()
    del held


@torch.inference_mode()
def _stages_us(pipeline: Any, images: Sequence[bytes]) -> dict[str, float]:
    """Of one picture: each stage's own time, with the GPU waited for before and after."""
    took: dict[str, list[float]] = {}

    def staged(name: str, work: Callable[..., Any], *given: Any) -> Any:
        torch.cuda.synchronize()
        began = time.perf_counter()
        done = work(*given)
        torch.cuda.synchronize()
        took.setdefault(name, []).append((time.perf_counter() - began) / len(images) * 1e6)
        return done

    for _ in range(2 * WINDOWS):
        ready = staged("decode", pipeline.decoded, images)
        inputs = staged("fit", pipeline.inputs, ready)
        answers = staged("infer", pipeline.engine.infer_tensor, inputs)
        raw = staged("to host", lambda there: there.cpu().numpy(), answers)
        found = staged("finish", finished, pipeline.answers(raw, ready), pipeline.spec)
        staged("answer", filled, found, pipeline.spec)
    return {name: round(statistics.median(values), 1) for name, values in took.items()}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.bare", description=__doc__)
    parser.add_argument("detector", choices=catalogue.BUILT_IN)
    parser.add_argument("--weights", default="demo")
    parser.add_argument("--pictures", nargs="+", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument(
        "--compiled-in",
        type=Path,
        help="also compiled by torch, which keeps there what comes of it: minutes, if nothing is kept yet",
    )
    asked = parser.parse_args(words)
    if not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} sees no GPU")
    pictures = [path.read_bytes() for path in asked.pictures]
    print(
        json.dumps(asdict(measured(asked.detector, asked.weights, pictures, asked.sizes, asked.compiled_in)))
    )


if __name__ == "__main__":
    main()
