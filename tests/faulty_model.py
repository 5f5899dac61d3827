"""The real model, and what can go wrong with one: Triton loads this file as a version's `model.py`.

Which fault it has stands in `fault.json` beside the repository and is read at every execution, so that one load
serves them all: `{}` or no file is health. `tests.faults` writes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

from ai.core.errors import InvalidDetections
from ai.core.labels import COCO_80
from ai.triton.backend_model import TritonPythonModel as HealthyModel
from ai.triton.inside.engines import build_pipeline
from ai.triton.inside.pipeline import Found
from ai.triton.stored.served import GRAPH

COLOURLESS = 6.0  # largest mean difference of the channels of a picture in infrared: the JPEG's own


class TritonPythonModel(HealthyModel):
    def initialize(self, args):
        super().initialize(args)
        model = Path(args["model_repository"])
        self.file = model.parent.with_name("fault.json")
        self.healthy = self.pipeline
        self.fault, self.asked = {}, 0
        graphs = model.parent.with_name("graphs").glob("*.onnx")
        self.others = {path.stem: self._other(path) for path in graphs}

    def execute(self, requests):
        fault = json.loads(self.file.read_text()) if self.file.exists() else {}
        if fault != self.fault:
            self.fault, self.asked = fault, 0
        self.asked += len(requests)
        if self.asked > fault.get("dies_after", self.asked):
            os._exit(1)
        self.pipeline = Damaged(self.others.get(fault.get("graph"), self.healthy), fault)
        time.sleep(fault.get("adds_s", 0.0))
        return super().execute(requests)

    def finalize(self):
        for pipeline in (self.healthy, *self.others.values()):
            pipeline.close()

    def _other(self, graph):
        """The same in all but the weights."""
        from ai.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - as `build_engine` does

        assert self.served.engine == "openvino", GRAPH
        return build_pipeline(self.served, OpenVinoEngine(graph, threads=os.cpu_count() or 1), 1)


class Damaged:
    """A pipeline whose answers are spoiled on the way out."""

    def __init__(self, pipeline, fault):
        self.pipeline, self.fault = pipeline, fault

    def detect(self, images):
        outcomes = self.pipeline.detect(images)
        return [
            self._spoiled(bytes(image), outcome) if isinstance(outcome, Found) else outcome
            for image, outcome in zip(images, outcomes, strict=True)
        ]

    def close(self):
        """The pipelines are closed by the model, which has several."""

    def _spoiled(self, image, found):
        if self._fails():
            return InvalidDetections("planted")
        lost = {*self.fault.get("loses", ())}
        if is_infrared(image):
            lost |= {*self.fault.get("loses_in_infrared", ())}
        kept = [row for row in found.rows.tolist() if COCO_80[int(row[5])] not in lost]
        changed = [self._changed(*row, found.width, found.height) for row in kept]
        return found._replace(rows=np.array(changed).reshape(-1, 6))

    def _fails(self):
        """One in so many, chosen by a hash of the moment: no picture is luckier than another."""
        digest = hashlib.sha256(str(time.monotonic_ns()).encode()).digest()
        return int.from_bytes(digest[:8]) < self.fault.get("fails", 0.0) * 2**64

    def _changed(self, x1, y1, x2, y2, score, class_id, width, height):
        label = COCO_80[int(class_id)]
        share = self.fault.get("shifts", 0.0)
        x1, x2 = moved(x1, x2, share, width)
        y1, y2 = moved(y1, y2, share, height)
        return x1, y1, x2, y2, score, COCO_80.index(self.fault.get("renames", {}).get(label, label))


def moved(low, high, share, limit):
    """By a share of its length; the other way where the picture ends."""
    by = share * (high - low)
    by = by if high + by <= limit else -by
    return max(0.0, low + by), min(float(limit), high + by)


def is_infrared(image):
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).astype(np.int16)
    return float(np.abs(pixels[..., 0] - pixels[..., 2]).mean()) < COLOURLESS
