"""How a Triton is asked, whatever the protocol: a question, its answer, and what Triton's words for failure mean.

A wire turns every foreign error into one of ours, in one place of its own file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

from ai.core.errors import (
    BackendError,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from ai.core.header import Bytes
from ai.web.tracing import Headers

ADMIN_HEADER = "crossfade-admin"  # what opens a Triton's restricted endpoints; the server is started with it
MAX_ANSWER_BYTES = (
    64 * 1024 * 1024
)  # a raw head of 8400 x 84 floats has 2.8 MB; a liar gets no more than this
# What says what an answer is made of, and what Triton says of its models, unpacks to many hundred times its size.
MAX_HEAD_BYTES = 64 * 1024  # names, types and shapes of some outputs
MAX_DESCRIPTION_BYTES = 512 * 1024  # a configuration carries the labels
MAX_WORDS = 300  # of Triton's own text in a message: a model's traceback can fill a page

Json = dict[str, Any]
Aspect = Literal["metadata", "config", "statistics"]
Action = Literal["load", "unload"]


# NamedTuples, not frozen dataclasses: these are made on every call, and cost a fifth.
class Question(NamedTuple):
    model: str
    input_name: str
    datatype: str
    shape: tuple[int, ...]
    data: Bytes
    outputs: tuple[str, ...]  # none: all that the model has
    priority: int = 0  # 1 goes before 2; 0 leaves it to the model's configuration
    request_id: str = ""
    headers: Headers = ()


class Output(NamedTuple):
    datatype: str
    shape: tuple[int, ...]
    data: bytes


class Answer(NamedTuple):
    """What came back, unpacked and not yet believed."""

    model_version: str
    outputs: Mapping[str, Output]
    request_id: str = ""  # of the question that it answers

    def require_is_to(self, question: Question) -> None:
        """A connection that lost its place gives answers to the wrong questions, and each is sound in itself."""
        if question.request_id and self.request_id != question.request_id:
            raise InvalidModelOutput(
                f"Triton answers another question: {self.request_id[:40]!r} for {question.request_id[:40]!r}."
            )


class Wire(Protocol):
    async def infer(self, question: Question, timeout_s: float) -> Answer: ...

    async def describe(self, aspect: Aspect, model: str, version: str, timeout_s: float) -> Json:
        """As Triton's HTTP API words it; version "" is the one that answers when none is named."""

    async def is_model_ready(self, model: str, version: str, timeout_s: float) -> bool: ...

    async def repository_index(self, timeout_s: float) -> list[Json]: ...

    async def change_repository(self, action: Action, model: str, timeout_s: float) -> None: ...

    async def close(self) -> None:
        """Ends what is under way; whoever waits for it sees Unavailable."""


# Triton 2.51 puts the request's id before some of its sentences. A test pins all of these to the real server.
_REQUEST_ID = r"(?:\[request id: .*?\] )?"
_QUEUE = re.compile(_REQUEST_ID + r"(?:Exceeds maximum queue size|Request timeout expired)")
_RESTRICTED = re.compile(r"This (?:protocol|API) is restricted")
_NOT_LOADED = re.compile(r"requested model '.*' is not available")


def fault(kind: type[BackendError], status: str, text: str) -> BackendError:
    """A failure of this kind, unless Triton's sentence says more than its status does."""
    if kind is Unavailable and _QUEUE.match(text):
        kind = Overloaded
    elif kind is Unavailable and _RESTRICTED.match(text):
        kind = ServerError  # asking again would not open it
    elif kind is Refused and _NOT_LOADED.match(text):
        kind = ModelNotFound
    return kind(f"Triton says {status}: {_in_short(text)}")


def queue_timeout_us(timeout_s: float) -> int:
    """How long the question may wait inside Triton: no longer than its caller does. Triton looks at it only where
    the model's own default is longer; not less, or a hung model would read as a full queue."""
    return max(1, int(timeout_s * 1e6))


def _in_short(text: str) -> str:
    """The first line: what follows is a traceback with the server's own paths."""
    line = text.strip().split("\n", 1)[0].strip()
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
