"""The model that Triton's Python backend runs: encoded pictures or pixels in, detections out.

Imported by the stub process through `model_repository/model.py`. `triton_python_backend_utils` exists only there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb

from ai.core.errors import InvalidImage
from ai.engines.engine import Engine
from ai.triton.inside.engines import build_engine, build_pipeline, usable_threads
from ai.triton.inside.gpu_sharing import Detects, Place, joined
from ai.triton.inside.pipeline import Found, Outcome, Pipeline, filled
from ai.triton.stored.served import NotServable, Served


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        _require_numpy_1()
        config = json.loads(args["model_config"])
        version = Path(args["model_repository"]) / args["model_version"]
        self.served = Served.load(version)
        groups = config.get("instance_group", [])
        instances = sum(int(group.get("count", 1)) for group in groups) or 1
        threads = max(1, usable_threads() // instances)
        self.encoded = any(one["name"] == "image" for one in config["input"])

        def build() -> Pipeline:
            self.engine: Engine = (
                BlsEngine(self.served)
                if self.served.engine == "bls"
                else build_engine(self.served, version, threads, args["model_instance_device_id"])
            )
            return build_pipeline(self.served, self.engine, threads)

        self.pipeline: Detects = (
            joined(Place.of(args, groups), self.served.spec, build) if self.shares else build()
        )

    @property
    def shares(self) -> bool:
        """One engine with the other instances on its GPU, see `gpu_sharing`."""
        return self.encoded and self.served.engine == "torch" and self.served.decode == "gpu"

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self._detect(requests) if self.encoded else self._infer(requests)

    def finalize(self) -> None:
        self.pipeline.close()

    def _detect(self, requests: Sequence[Any]) -> list[Any]:
        """Every picture of every request through one batch; each request is answered with its own."""
        tensors = [pb.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        outcomes = iter(self.pipeline.detect([memoryview(row) for tensor in tensors for row in tensor]))
        return [self._response([next(outcomes) for _ in tensor]) for tensor in tensors]

    def _response(self, outcomes: list[Outcome]) -> Any:
        """A request of one picture is the rule; one of several fails with its first bad picture."""
        for outcome in outcomes:
            if isinstance(outcome, InvalidImage):
                return _error(str(outcome), pb.TritonError.INVALID_ARG)
            if not isinstance(outcome, Found):
                return _error(f"the model's answer is invalid: {outcome}", pb.TritonError.INTERNAL)
        found = [outcome for outcome in outcomes if isinstance(outcome, Found)]
        rows = pb.Tensor("detections", filled(found, self.served.spec))
        sizes = pb.Tensor("image_size", np.array([(one.width, one.height) for one in found], np.int32))
        return pb.InferenceResponse([rows, sizes])

    def _infer(self, requests: Sequence[Any]) -> list[Any]:
        spec = self.served.spec
        tensors = [pb.get_input_tensor_by_name(request, spec.input_name).as_numpy() for request in requests]
        answers = self.engine.infer(np.concatenate(tensors) if len(tensors) > 1 else tensors[0])
        ends = np.cumsum([len(tensor) for tensor in tensors])[:-1]
        return [
            pb.InferenceResponse([pb.Tensor(spec.output_name, np.ascontiguousarray(part, np.float32))])
            for part in np.split(answers, ends)
        ]


class BlsEngine:
    """Hands the pixels to another model of the same server, such as a TensorRT plan."""

    device = "bls"

    def __init__(self, served: Served) -> None:
        if served.tensor_model is None:
            raise NotServable("the engine 'bls' needs tensor_model: the model that is handed the pixels")
        self.model, self.spec = served.tensor_model, served.spec
        self.largest = served.batch_sizes[-1]

    def infer(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        parts = [
            self._ask(pixels[first : first + self.largest]) for first in range(0, len(pixels), self.largest)
        ]
        return np.concatenate(parts)

    def _ask(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        response = pb.InferenceRequest(
            model_name=self.model,
            requested_output_names=[self.spec.output_name],
            inputs=[pb.Tensor(self.spec.input_name, pixels)],
            preferred_memory=pb.PreferredMemory(pb.TRITONSERVER_MEMORY_CPU, 0),
        ).exec()
        if response.has_error():
            raise pb.TritonModelException(f"{self.model}: {response.error().message()}")
        answer: npt.NDArray[np.float32] = pb.get_output_tensor_by_name(
            response, self.spec.output_name
        ).as_numpy()
        return answer


def _error(message: str, code: int) -> Any:
    return pb.InferenceResponse(output_tensors=[], error=pb.TritonError(message, code))


def _require_numpy_1() -> None:
    """With numpy 2 this Python backend sends tensors of zero bytes without a word."""
    if int(np.__version__.split(".")[0]) >= 2:
        raise NotServable(f"Triton's Python backend needs numpy 1; this environment has {np.__version__}")
