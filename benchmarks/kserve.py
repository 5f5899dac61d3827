"""How the generator asks a Triton, and what that Triton counts: KServe v2 over HTTP with binary tensors.

A body is what `TritonClient` sends over HTTP: a JSON head, then the picture as it is. The head is filled up with
spaces, so that one header line, which says how long it is, holds for every picture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from ai.triton.asking.http_body import decode, encode
from ai.triton.asking.wire import Question
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.suite import Ask

HEAD_BYTES = 512
LENGTH_HEADER = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"

_COUNTER = re.compile(
    r'^nv_inference_(count|exec_count|\w+_duration_us){.*?model="([^"]+)".*?} (\S+)$', re.MULTILINE
)
# Triton's names of a request's parts; a Python model decodes, infers and finishes within `compute_infer`.
_PARTS = {"queue": "queue", "compute_input": "input", "compute_infer": "model", "compute_output": "output"}


def ask(model: str) -> Ask:
    return Ask(f"/v2/models/{model}/infer", BINARY, (f"{LENGTH_HEADER}: {HEAD_BYTES}",))


def body(picture: bytes) -> bytes:
    question = Question("", "image", "UINT8", (1, len(picture)), picture, ("detections", "image_size"))
    plain, head_bytes = encode(question, TIMEOUT_S)
    return plain[:head_bytes].ljust(HEAD_BYTES) + plain[head_bytes:]


def write_bodies(pictures: Sequence[Path]) -> tuple[Path, ...]:
    """A request's body beside each picture."""
    return tuple(_write_body(path, path.with_suffix(".kserve")) for path in pictures)


def _write_body(picture: Path, path: Path) -> Path:
    path.write_bytes(body(picture.read_bytes()))
    return path


def objects(answer: httpx.Response, over: float) -> int:
    """The detections in Triton's answer with at least this score."""
    output = decode(answer.content, answer.headers.get(LENGTH_HEADER)).outputs["detections"]
    rows = np.frombuffer(output.data, np.float32).reshape(-1, 6)
    return int((rows[:, 4] >= over).sum())


@dataclass(frozen=True, slots=True)
class Counted:
    """What one model has answered so far, in how many executions, and how long the parts of it took."""

    pictures: float
    executions: float
    parts_us: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, metrics_url: str, model: str) -> Counted:
        text = httpx.get(metrics_url, timeout=5.0, trust_env=False).text
        sums: defaultdict[str, float] = defaultdict(float)
        for name, of, value in _COUNTER.findall(text):
            if of == model:
                sums[name.removesuffix("_duration_us")] += float(value)
        parts = {_PARTS[name]: value for name, value in sums.items() if name in _PARTS}
        return cls(sums["count"], sums["exec_count"], parts)

    def batch_until(self, later: Counted) -> float | None:
        """Pictures per execution in between, as Triton batched them."""
        executions = later.executions - self.executions
        return (later.pictures - self.pictures) / executions if executions else None

    def split_ms_until(self, later: Counted) -> dict[str, float]:
        """Of the mean request in between."""
        pictures = later.pictures - self.pictures
        if not pictures:
            return {}
        return {
            name: (us - self.parts_us.get(name, 0.0)) / pictures / 1000 for name, us in later.parts_us.items()
        }
