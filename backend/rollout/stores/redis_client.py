"""What is used of the Redis library, with types that it does not give: commands as Redis' own pages have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.rollout.stores.redis_address import RedisAddress

SILENT_S = 0.25  # no answer for so long is "away"

Word: TypeAlias = str | bytes | int | float


class Script(Protocol):
    def __call__(self, keys: Sequence[str], args: Sequence[Word]) -> Any: ...


class Pipeline(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def execute_command(self, *words: Word) -> object: ...
    def execute(self) -> list[Any]: ...


class Heard(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def subscribe(self, *channels: str) -> None: ...
    def get_message(self, *, timeout: float) -> Mapping[str, Any] | None: ...
    def ping(self) -> object: ...


class Client(Protocol):
    def execute_command(self, *words: Word) -> Any: ...
    def pipeline(self, *, transaction: bool) -> Pipeline: ...
    def register_script(self, script: str) -> Script: ...
    def pubsub(self) -> Heard: ...
    def close(self) -> None: ...


def client_of(address: RedisAddress) -> Client:
    """It connects when it is first asked, and again after every error. It asks once: no change is sent twice."""
    made = redis.Redis(
        host=address.host, port=address.port, db=address.db, username=address.user, password=address.password,
        ssl=address.encrypted, socket_timeout=SILENT_S, socket_connect_timeout=SILENT_S,
        retry=Retry(NoBackoff(), 0), protocol=2, client_name="crossfade",
    )  # fmt: skip
    return cast(Client, made)
