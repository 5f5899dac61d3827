"""A gRPC server that speaks Triton's protocol and does nothing: eight detections, the same bytes for everyone.

What a client reaches here is its own cost and gRPC's. The same model can be written for a real Triton.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import uvloop
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as pb

from ai.core.spec import DetectorSpec

MODEL = "instant_jpeg"
DETECTIONS = 8
ROWS = 300
SIZE = (1280, 720)


async def serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handlers = {method: _always(content) for method, content in said().items()}
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def said() -> dict[str, bytes]:
    """By method, the same for everyone."""
    answers = {"ModelInfer": _answer(), "ModelConfig": _config(), "ModelMetadata": _metadata()}
    return {method: message.SerializeToString() for method, message in answers.items()}


def _always(content: bytes) -> Any:
    async def answer(_request: bytes, _context: Any) -> bytes:
        return content

    return grpc.unary_unary_rpc_method_handler(answer)


def _rows() -> Any:
    rows = np.full((1, ROWS, 6), -1, np.float32)
    for index in range(DETECTIONS):
        rows[0, index] = (100 + 7 * index, 50, 180 + 9 * index, 210, 0.95 - index / 20, index)
    return rows


def _answer() -> Any:
    message = pb.ModelInferResponse(model_name=MODEL, model_version="1")
    for name, datatype, array in (
        ("detections", "FP32", _rows()),
        ("image_size", "INT32", np.array([SIZE], np.int32)),
    ):
        message.outputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_output_contents.append(array.tobytes())
    return message


def _config() -> Any:
    return pb.ModelConfigResponse(config=_model_config())


def _model_config() -> Any:
    config = model_config_pb2.ModelConfig(name=MODEL, max_batch_size=64)
    config.input.add(name="image", data_type="TYPE_UINT8", dims=[-1], allow_ragged_batch=True)
    config.output.add(name="detections", data_type="TYPE_FP32", dims=[ROWS, 6])
    config.output.add(name="image_size", data_type="TYPE_INT32", dims=[2])
    config.parameters["detector"].string_value = json.dumps(_SPEC.to_table())
    return config


def _metadata() -> Any:
    return pb.ModelMetadataResponse(name=MODEL, versions=["1"])


_SPEC = DetectorSpec.from_table(
    {"name": "instant", "title": "Instant", "input_name": "images", "input_width": 640, "input_height": 640,
     "fit": "letterbox", "output_name": "rows", "max_detections": ROWS, "score_floor": 0.05,
     "labels": "coco-80"}
)  # fmt: skip


_MODEL_CODE = f"""
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        self.rows = np.array({_rows().tolist()}, np.float32)
        self.size = np.array([{list(SIZE)}], np.int32)

    def execute(self, requests):
        return [
            pb.InferenceResponse([pb.Tensor("detections", self.rows), pb.Tensor("image_size", self.size)])
            for _ in requests
        ]
"""


def write_model(repository: Path) -> None:
    """The same for a real Triton."""
    config = _model_config()
    config.backend = "python"
    config.dynamic_batching.SetInParent()
    version = repository / MODEL / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL_CODE)
    (version.parent / "config.pbtxt").write_text(text_format.MessageToString(config))


if __name__ == "__main__":
    uvloop.run(serve())
