"""The real model of a real Triton, over the engine that waits; its orders say how it misbehaves.

`{"exit": true}` ends the stub in the middle of an execution, `{"error": "INTERNAL", "share": 0.1}` fails one request in
ten, `{"lie": "nan"}` spoils what is sent (`tests.chaos.lies`), `{"notes": true}` writes down
what it is given. Loaded by the `model.py` that `write_model` leaves.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from types import SimpleNamespace

import triton_python_backend_utils as pb

from ai.triton.backend_model import TritonPythonModel as RealModel
from ai.triton.inside.pipeline import Pipeline
from tests.chaos import lies
from tests.chaos.engine import SPEC, Orders, WaitingEngine

DECODERS = 2


class TritonPythonModel(RealModel):
    def initialize(self, args):
        model = Path(args["model_repository"])
        self.orders = Orders(model.parent.parent / f"{model.name}.json")
        if self.orders.read().get("does_not_load"):
            raise ValueError("planned: this version does not load")
        self.served = SimpleNamespace(spec=SPEC)
        self.engine = WaitingEngine(self.orders)
        self.pipeline = Pipeline(SPEC, self.engine, DECODERS)
        self.encoded = True

    def execute(self, requests):
        told = self.orders.read()
        if told.get("exit"):
            os._exit(1)
        if told.get("notes"):
            self._note(len(requests))
        responses = super().execute(requests)
        return [self._as_told(response, told) for response in responses]

    def _note(self, requests):
        """One line for each execution: when it began, and how many requests it was of."""
        with self.orders.file.with_suffix(".seen").open("a") as seen:
            seen.write(f"{time.time()} {requests}\n")

    def _as_told(self, response, told):
        if response.has_error() or random.random() >= told.get("share", 1.0):
            return response
        if "error" in told:
            return pb.InferenceResponse(
                error=pb.TritonError("planned", getattr(pb.TritonError, told["error"]))
            )
        if "lie" in told:
            return lies.of_triton(told["lie"], response)
        return response
