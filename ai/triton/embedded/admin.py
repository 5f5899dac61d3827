"""The supervisor's own line to its server: models in, models out, one inference to see whether one lives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from ai.core.sample import sample_jpeg
from ai.triton.embedded.errors import LoadsTooLong, ModelFails, ServerGone

_QUICK_S = 10.0  # for questions that no model has to answer
_CHANNEL = [  # given whole, as it replaces tritonclient's own
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
]
_FRAME = re.compile(
    r"^load failed for model '[^']*': |version \d+ is at UNAVAILABLE state: |\b[A-Z]\w+: (?=\w+Error: )"
)
_FULL_QUEUE = ("Exceeds maximum queue size", "Request timeout expired")


class State(Enum):
    WELL = auto()  # it answered, with an answer or by calling the question wrong
    BUSY = auto()  # too late or too full to answer, which is no illness
    ILL = auto()  # it failed inside
    AWAY = auto()  # it is not loaded, or the server cannot be reached


@dataclass(frozen=True, slots=True)
class Finding:
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelState:
    name: str
    version: int
    ready: bool


class Admin:
    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._client = InferenceServerClient(url, channel_args=_CHANNEL)
        self._headers = headers
        self._questions: dict[tuple[str, int], list[InferInput]] = {}

    def close(self) -> None:
        self._client.close()

    def is_live(self, timeout_s: float = 1.0) -> bool:
        try:
            return bool(self._client.is_server_live(client_timeout=timeout_s))
        except InferenceServerException:
            return False

    def models(self) -> list[ModelState]:
        """Every version that the server knows; folders that it could not read have none."""
        with _translated():
            index = self._client.get_model_repository_index(headers=self._headers, client_timeout=_QUICK_S)
        return [
            ModelState(one.name, int(one.version), one.state == "READY")
            for one in index.models
            if one.version
        ]

    def load(self, name: str, timeout_s: float) -> None:
        """ModelFails with Triton's reason; LoadsTooLong when the time is up, which does not stop the loading."""
        try:
            with _translated():
                self._client.load_model(name, headers=self._headers, client_timeout=timeout_s)
        except ServerGone:
            if self.is_live():
                raise LoadsTooLong(f"it did not load within {timeout_s:.0f} s") from None
            raise

    def unload(self, name: str) -> None:
        with _translated():
            self._client.unload_model(name, headers=self._headers, client_timeout=_QUICK_S)

    def successes(self, name: str) -> int:
        """How many requests it has answered well, over all versions."""
        with _translated():
            answer = self._client.get_inference_statistics(name, client_timeout=_QUICK_S)
        return sum(one.inference_stats.success.count for one in answer.model_stats)

    def python_processes(self, model: ModelState) -> int:
        """How many it is to have: one for each instance, none for another backend's model."""
        with _translated():
            config = self._client.get_model_config(
                model.name, str(model.version), client_timeout=_QUICK_S
            ).config
        groups = config.instance_group if config.backend == "python" else []
        return sum(group.count * max(1, len(group.gpus)) for group in groups)

    def ask(self, model: ModelState, timeout_s: float) -> Finding:
        """One real inference."""
        try:
            question = self._question(model)
            self._client.infer(model.name, question, str(model.version), client_timeout=timeout_s)
        except InferenceServerException as error:
            self._questions.pop((model.name, model.version), None)  # it may take something else by now
            return _finding(error)
        return Finding(State.WELL)

    def _question(self, model: ModelState) -> list[InferInput]:
        key = (model.name, model.version)
        if key not in self._questions:
            metadata = self._client.get_model_metadata(
                model.name, str(model.version), client_timeout=_QUICK_S
            )
            self._questions[key] = [
                _tensor(one.name, one.datatype, list(one.shape)) for one in metadata.inputs
            ]
        return self._questions[key]


def _tensor(name: str, type_name: str, shape: list[int]) -> InferInput:
    """A picture for an input that takes encoded ones, zeros for any other; -1 is any size."""
    sizes = [max(size, 1) for size in shape]
    if name == "image" and type_name == "UINT8" and set(shape) == {-1}:
        picture = np.frombuffer(sample_jpeg(), np.uint8)
        value = picture.reshape([*sizes[:-1], picture.size])
    elif type_name == "BYTES":
        value = np.full(sizes, b"", object)
    else:
        value = np.zeros(sizes, triton_to_np_dtype(type_name))
    tensor = InferInput(name, list(value.shape), type_name)
    tensor.set_data_from_numpy(value)
    return tensor


def _finding(error: InferenceServerException) -> Finding:
    message = error.message() or ""
    match str(error.status()).removeprefix("StatusCode."):
        case "INTERNAL" | "UNKNOWN":
            return Finding(State.ILL, in_words(message))
        case "DEADLINE_EXCEEDED" | "CANCELLED":
            return Finding(State.BUSY, "it did not answer in time")
        case "UNAVAILABLE" if message.startswith(_FULL_QUEUE):
            return Finding(State.BUSY, message)
        case "UNAVAILABLE" | "NOT_FOUND":
            return Finding(State.AWAY, message)
    return Finding(State.WELL, message)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        message = error.message() or str(error)
        if str(error.status()) in {
            "StatusCode.UNAVAILABLE",
            "StatusCode.CANCELLED",
            "StatusCode.DEADLINE_EXCEEDED",
        }:
            raise ServerGone(message) from error
        raise ModelFails(in_words(message)) from error


def in_words(message: str) -> str:
    """Triton's reason without the frame that it puts around it and without Python's traceback."""
    text = _FRAME.sub("", message.partition("\n\nAt:")[0].strip())
    return " ".join(text.split()).rstrip(";")
