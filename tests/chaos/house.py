"""All that a row of the fault table breaks, for real: a Triton, a legacy service, a backend, and a proxy before each.

with running_house({"DETECT_DEADLINE_S": "2"}) as house:
    house.triton.kill()

Both sides take 10 ms for a batch or a picture, so that 50 requests/s always have some under way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from tests import scripted
from tests.backends import Backend, running_backend
from tests.chaos.engine import SPEC, Orders
from tests.chaos.legacy_side import LegacySide
from tests.chaos.stepped_clock import CLOCKS
from tests.fault_proxy import HEALTHY, FaultProxy, running_proxy
from tests.redis_server import RedisServer, running_redis
from tests.services import ROOT
from tests.tritons import RunningTriton, python_model, running_triton

MODEL = "yolo26_jpeg"
QUICK = {"takes_s": 0.01}
LEGACY_QUICK = {"each_s": 0.01}
DEADLINE_S = 2.0
TO_TRITON = {
    "TRITON_ENABLED": "true",
    "TRITON_TRAFFIC_FRACTION": "1",
    "DETECT_DEADLINE_S": str(DEADLINE_S),
    "LOG_SAMPLE": "1",
}


@dataclass
class House:
    """`ways` are the proxies that the backend's calls go through: "triton" , "legacy" and "store"."""

    folder: Path
    triton: RunningTriton
    triton_orders: Orders
    legacy: LegacySide
    legacy_orders: Orders
    backend: Backend
    ways: dict[str, FaultProxy] = field(default_factory=dict)
    redis: RedisServer | None = None  # that keeps the flags; where there is none, a file does

    def heal(self) -> None:
        """Both sides quick and truthful, every way open."""
        self.triton_orders.give(QUICK)
        self.legacy_orders.give(LEGACY_QUICK)
        for way in self.ways.values():
            way.behave(HEALTHY)


def write_model(repository: Path, version: int = 1) -> None:
    """Its orders lie beside the repository, as `yolo26_jpeg.json`."""
    config = f"""
        max_batch_size: 8
        input {{ name: "image" data_type: TYPE_UINT8 dims: [-1] allow_ragged_batch: true }}
        output {{ name: "detections" data_type: TYPE_FP32 dims: [{SPEC.max_detections}, 6] }}
        output {{ name: "image_size" data_type: TYPE_INT32 dims: [2] }}
        dynamic_batching {{
          default_queue_policy {{
            timeout_action: REJECT
            default_timeout_microseconds: 60000000
            allow_timeout_override: true
            max_queue_size: 64
          }}
        }}
        {scripted.carried(SPEC)}
    """
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from tests.chaos.triton_model import TritonPythonModel
    """
    python_model(repository, MODEL, dedent(code), config, version)


@contextmanager
def running_house(
    variables: Mapping[str, str] | None = None,
    *,
    through_proxies: bool = False,
    redis: bool = False,
    without: tuple[str, ...] = (),
    workers: int = 1,
    env_file: str | None = None,
    ready: bool = True,
) -> Iterator[House]:
    """`ready`: wait until it serves; `without` names what `tests.chaos.undefended` takes away from the backend."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        folder = Path(directory)
        repository = folder / "models"
        write_model(repository)
        triton_orders, legacy_orders = Orders(folder / f"{MODEL}.json"), Orders(folder / "legacy.json")
        triton_orders.give(QUICK)
        legacy_orders.give(LEGACY_QUICK)
        triton = stack.enter_context(running_triton(repository))
        legacy = LegacySide(legacy_orders.file)
        stack.callback(legacy.stop)
        legacy.start()
        known = {**TO_TRITON, **(variables or {})}
        known = {name: word for name, word in known.items() if f"{name}=" not in (env_file or "")}
        ways = _ways(stack, triton, legacy, known.get("TRITON_PROTOCOL", "grpc")) if through_proxies else {}
        server = stack.enter_context(running_redis(folder / "redis")) if redis else None
        if server is not None:
            ways["store"] = stack.enter_context(running_proxy("127.0.0.1", server.port))
            known["ROLLOUT_STORE"] = f"redis://{ways['store'].address}"
        backend = stack.enter_context(
            _backend(triton, legacy, ways, known, without, workers, env_file, ready)
        )
        yield House(folder, triton, triton_orders, legacy, legacy_orders, backend, ways, server)


def _ways(
    stack: ExitStack, triton: RunningTriton, legacy: LegacySide, protocol: str
) -> dict[str, FaultProxy]:
    triton_url = triton.grpc_url if protocol == "grpc" else triton.http_url
    ports = {"triton": int(triton_url.rpartition(":")[2]), "legacy": legacy.port}
    return {side: stack.enter_context(running_proxy("127.0.0.1", port)) for side, port in ports.items()}


@contextmanager
def _backend(
    triton: RunningTriton,
    legacy: LegacySide,
    ways: Mapping[str, FaultProxy],
    known: dict[str, str],
    without: tuple[str, ...],
    workers: int,
    env_file: str | None,
    ready: bool,
) -> Iterator[Backend]:
    to: dict[str, str] = {}
    if "triton" in ways:
        to = dict.fromkeys(("TRITON_URL", "TRITON_HTTP_URL"), f"127.0.0.1:{ways['triton'].port}")
        to |= dict.fromkeys(("YOLO26_URL", "RTDETR_URL"), ways["legacy"].url)
    patched = "stepped_clock" if CLOCKS.keys() & {*without} else "undefended"
    module = (f"tests.chaos.{patched}", *without) if without else ("backend.serve",)
    with running_backend(
        legacy=legacy.url, triton=triton, workers=workers, env_file=env_file, module=module, ready=ready,
        **{**to, "PYTHONPATH": str(ROOT), **known},
    ) as backend:  # fmt: skip
        yield backend
