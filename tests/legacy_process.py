"""A legacy service in a process of its own, with a model that takes as long as it is told and no processor.

    python -m tests.legacy_process PORT INFERENCE_S

The true one takes both cores of a small machine for some 17 pictures a second: nobody can load a backend beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import uvicorn

from ai.serving.app import create_app
from ai.serving.settings import ServiceSettings
from ai.web.heads import BoundedHeads
from ai.web.spans_asked import spans_asked_for
from tests.http_servers import SPEC
from tests.services import Service, free_port, started


@dataclass(frozen=True)
class SlowEngine:
    inference_s: float
    device: str = "cpu"

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        time.sleep(self.inference_s * len(pixels))
        rows = np.full((len(pixels), SPEC.max_detections, 6), -1, np.float32)
        rows[:, 0] = 8, 8, 24, 56, 0.75, 1
        return rows


@contextmanager
def legacy_process(
    inference_s: float = 0.002, port: int | None = None, **variables: str
) -> Iterator[Service]:
    port = port or free_port()
    words = ("tests.legacy_process", str(port), str(inference_s))
    with started("a legacy service", port, *words, **variables) as service:
        yield service


def main(port: str, inference_s: str) -> None:
    settings = ServiceSettings(port=int(port), weights="none")
    app = create_app(
        SPEC, lambda: SlowEngine(float(inference_s)), settings, spans_asked_for("crossfade-legacy")
    )
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), http=BoundedHeads, log_level="warning", timeout_keep_alive=20
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
