"""What one service tells Prometheus. Each app has its own registry, so that two in one process do not meet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

import pynvml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from ai.serving.runtime import Answer
from ai.web.problems import Problem

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10)
_COUNT_BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 50, 100, 300)


class ServiceMetrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "inference_requests", "Requests by endpoint and HTTP status (499: the caller hung up)",
            ["endpoint", "status"], registry=self._registry,
        )  # fmt: skip
        self.latency = Histogram(
            "inference_latency_seconds", "From a request's headers to its answer, for those that were answered",
            ["endpoint"], buckets=_LATENCY_BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self.stages = Histogram(
            "inference_stage_seconds", "One image's time in decode, preprocess, queue, inference, postprocess",
            ["stage"], buckets=(0.0005, 0.001, 0.0025, *_LATENCY_BUCKETS_S), registry=self._registry,
        )  # fmt: skip
        self.detections = Histogram(
            "detections_per_image",
            "Boxes over the score floor",
            buckets=_COUNT_BUCKETS,
            registry=self._registry,
        )
        self.model_loaded = Gauge("model_loaded", "1 once the model has answered", registry=self._registry)
        self.in_flight = Gauge("inference_in_flight", "Requests admitted now", registry=self._registry)
        self._registry.register(_GpuCollector())

    @contextmanager
    def counted(self, endpoint: str) -> Iterator[None]:
        """Count one request by what became of it, and the time of an answered one."""
        started, status = time.perf_counter(), 500
        try:
            yield
            status = 200
            self.latency.labels(endpoint).observe(time.perf_counter() - started)
        except Problem as problem:
            status = problem.status
            raise
        finally:
            self.requests.labels(endpoint, str(status)).inc()

    def observe(self, answer: Answer) -> None:
        """One image that was answered."""
        self.detections.observe(len(answer.detections))
        for stage, ms in asdict(answer.timing).items():
            self.stages.labels(stage).observe(ms / 1000)

    def render(self) -> bytes:
        return generate_latest(self._registry)


class _GpuCollector:
    """Read from the driver at each scrape; on a machine without an NVIDIA GPU there are no such metrics."""

    def __init__(self) -> None:
        self._devices = _nvml_devices()

    def collect(self) -> Iterable[Metric]:
        if not self._devices:
            return
        used = GaugeMetricFamily("gpu_memory_used_bytes", "Memory in use on the GPU", labels=["gpu"])
        total = GaugeMetricFamily("gpu_memory_total_bytes", "Memory of the GPU", labels=["gpu"])
        load = GaugeMetricFamily("gpu_utilization_ratio", "Share of time a kernel ran, 0..1", labels=["gpu"])
        for index, device in enumerate(self._devices):
            with suppress(pynvml.NVMLError):  # a GPU may not report a figure, a slice of one (MIG) its load
                memory = pynvml.nvmlDeviceGetMemoryInfo(device)
                used.add_metric([str(index)], memory.used)
                total.add_metric([str(index)], memory.total)
                load.add_metric([str(index)], pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100)
        yield from (used, total, load)


def _nvml_devices() -> list[object]:
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # no driver or no rights: there is nothing to report
        return []
