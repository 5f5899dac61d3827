"""Models for a real Triton that keep the contract of a detector and do what a request tells them to.

A "picture" is JSON: `{"sleep": 0.1}`, `{"error": "INTERNAL"}`, `{"wait_for": path}`, `{"touch": path}`,
`{"note": path, "name": "a"}`, `{"boxes": [[…]]}`, `{"drop": 1}`, `{"raise": true}`, `{"exit": true}`. A JPEG
stands for `{}`. Whatever else is no picture.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ai.core.spec import DetectorSpec
from ai.triton.client import Detected, Protocol, TritonClient
from tests.tritons import RunningTriton, python_model

SPEC = DetectorSpec(
    name="scripted",
    title="Scripted",
    input_name="images",
    input_width=96,
    input_height=64,
    fit="letterbox",
    output_name="rows",
    max_detections=5,
    score_floor=0.05,
    labels=("cat", "dog"),
)
TIMEOUT_S = 20.0  # of calls that are meant to be answered
BOX = [10.0, 20.0, 110.0, 220.0, 0.75, 1.0]
SIZE = [640, 480]

LONE, BATCHED, IMPATIENT = "lone_jpeg", "batched_jpeg", "impatient_jpeg"
PIXELS, FLOATS, OWN = "pixels", "floats", "own"

FLOAT_SPEC = DetectorSpec.from_table(
    {**SPEC.to_table(), "input_type": "float32", "pixel_scale": 1 / 255, "pixel_mean": [0.5] * 3,
     "pixel_std": [0.25] * 3, "fit": "stretch", "row": ["class", "box", "score"]}
)  # fmt: skip

CODE = f"""
    import json, os, time
    from pathlib import Path
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            return [self.answer(request) for request in requests]

        def answer(self, request):
            data = pb.get_input_tensor_by_name(request, "image").as_numpy().tobytes()
            try:
                what = {{}} if data.startswith(b"\\xff\\xd8") else json.loads(data)
            except ValueError:
                return failed("The picture is broken.", "INVALID_ARG")
            if "note" in what:
                with Path(what["note"]).open("a") as notes:
                    notes.write(what["name"] + "\\n")
            if "touch" in what:
                Path(what["touch"]).touch()
            time.sleep(what.get("sleep", 0))
            ends_at = time.monotonic() + 60
            while "wait_for" in what and not Path(what["wait_for"]).exists() and time.monotonic() < ends_at:
                time.sleep(0.005)
            if "exit" in what:
                os._exit(1)
            if "raise" in what:
                raise ValueError("planned")
            if "error" in what:
                return failed("planned", what["error"])
            rows = np.full((1, {SPEC.max_detections}, 6), -1, np.float32)
            for index, box in enumerate(what.get("boxes", [{BOX}])):
                rows[0, index] = box
            outputs = [pb.Tensor("detections", rows), pb.Tensor("image_size", np.array([{SIZE}], np.int32))]
            return pb.InferenceResponse(outputs[: len(outputs) - what.get("drop", 0)])

    def failed(message, code):
        return pb.InferenceResponse(error=pb.TritonError(message, getattr(pb.TritonError, code)))
"""

# Finds the bounding box of what is bright, in pixels of the input: a detector of one kind of thing.
BRIGHT_CODE = """
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            return [self.answer(request) for request in requests]

        def answer(self, request):
            pixels = pb.get_input_tensor_by_name(request, "images").as_numpy()[0]
            y, x = np.nonzero(pixels.min(axis=0) > {threshold})
            box, score, kind = [0, 0, 1, 1], [0.01], [0]  # under every floor
            if len(x):
                box, score, kind = [x.min(), y.min(), x.max() + 1, y.max() + 1], [0.9], [1]
            rows = np.zeros((1, 5, 6), np.float32)
            rows[0, 0] = np.concatenate({order})
            return pb.InferenceResponse([pb.Tensor("rows", rows)])
"""


def write_repository(repository: Path) -> None:
    jpeg(repository, LONE, max_batch=1, queue_size=4)
    jpeg(repository, BATCHED, max_batch=8, queue_size=256, delay_us=20_000)
    _bright(repository, PIXELS, SPEC, "UINT8", 200, "[box, score, kind]")
    _bright(repository, FLOATS, FLOAT_SPEC, "FP32", 1.5, "[kind, box, score]")
    _own(repository)


def jpeg(
    repository: Path,
    name: str,
    *,
    max_batch: int = 1,
    queue_size: int = 4,
    queue_timeout_us: int = 60_000_000,  # with 0 a request's own timeout is not looked at
    delay_us: int = 0,
    spec: DetectorSpec = SPEC,
    version: int = 1,
) -> None:
    config = f"""
        max_batch_size: {max_batch}
        input {{ name: "image" data_type: TYPE_UINT8 dims: [-1] allow_ragged_batch: true }}
        output {{ name: "detections" data_type: TYPE_FP32 dims: [{spec.max_detections}, 6] }}
        output {{ name: "image_size" data_type: TYPE_INT32 dims: [2] }}
        dynamic_batching {{
          max_queue_delay_microseconds: {delay_us}
          priority_levels: 2
          default_priority_level: 1
          default_queue_policy {{
            timeout_action: REJECT
            default_timeout_microseconds: {queue_timeout_us}
            allow_timeout_override: true
            max_queue_size: {queue_size}
          }}
        }}
        {carried(spec)}
    """
    python_model(repository, name, CODE, config, version)


def _bright(
    repository: Path, name: str, spec: DetectorSpec, datatype: str, threshold: float, order: str
) -> None:
    config = f"""
        max_batch_size: 4
        input {{ name: "images" data_type: TYPE_{datatype} dims: [3, {spec.input_height}, {spec.input_width}] }}
        output {{ name: "rows" data_type: TYPE_FP32 dims: [5, 6] }}
        {carried(spec)}
    """
    python_model(repository, name, BRIGHT_CODE.format(threshold=threshold, order=order), config)


def _own(repository: Path) -> None:
    config = f"""
        input {{ name: "images" data_type: TYPE_UINT8 dims: [1, 3, {SPEC.input_height}, {SPEC.input_width}] }}
        output {{ name: "rows" data_type: TYPE_FP32 dims: [1, 5, 6] }}
        output {{ name: "masks" data_type: TYPE_FP32 dims: [1, 5, 160, 160] }}
    """
    code = BRIGHT_CODE.format(threshold=200, order="[box, score, kind]")
    python_model(repository, OWN, code, config)


def carried(spec: DetectorSpec) -> str:
    """The configuration's parameter that says what the answer means."""
    text = json.dumps(json.dumps(spec.to_table()))  # a string in the text format is quoted as in JSON
    return f'parameters {{ key: "detector" value {{ string_value: {text} }} }}'


def picture(**what: Any) -> bytes:
    return json.dumps(what).encode()


async def wait_for(path: Path, timeout_s: float = 20) -> None:
    """Until the model has touched it."""
    ends_at = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < ends_at, f"{path} never came"
        await asyncio.sleep(0.005)


def client_of(triton: RunningTriton, protocol: Protocol, **options: Any) -> TritonClient:
    url = triton.grpc_url if protocol == "grpc" else triton.http_url
    return TritonClient.at(url, protocol, **{"admin_key": triton.admin_key, **options})


def boxes_of(found: Detected) -> list[list[float]]:
    return [[d.x1, d.y1, d.x2, d.y2, d.score, d.class_id] for d in found.detections]


@asynccontextmanager
async def occupied(
    triton: RunningTriton, client: TritonClient, folder: Path, model: str = LONE
) -> AsyncIterator[None]:
    """The model works on one picture as long as the block lasts; what is asked meanwhile waits in its queue."""
    name = secrets.token_hex(4)
    begun, release = folder / f"{name}-begun", folder / f"{name}-release"
    what = picture(touch=str(begun), wait_for=str(release))
    async with asyncio.TaskGroup() as group:
        group.create_task(client.detect(model, what, timeout_s=TIMEOUT_S))
        try:
            await wait_for(begun)
            yield
        finally:
            release.touch()


async def until_pending(triton: RunningTriton, requests: int, model: str = LONE) -> None:
    ends_at = time.monotonic() + 10
    while (waiting := triton.metric("nv_inference_pending_request_count", model)) != requests:
        assert time.monotonic() < ends_at, f"{waiting} requests wait, not {requests}"
        await asyncio.sleep(0.01)
