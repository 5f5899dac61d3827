"""Both sides of the page's tests: a legacy service and a real Triton that see coloured patches, the latter badly.

python -m tests.browser.sides PORT    # the legacy service
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from ai.core.labels import COCO_80
from ai.core.spec import DetectorSpec
from ai.serving.app import create_app
from ai.serving.settings import ServiceSettings
from tests import pictures
from tests.browser import patches
from tests.scripted import carried
from tests.services import Service, free_port, started
from tests.tritons import python_model

DETECTORS = ("rtdetr", "yolo26")
SPEC = DetectorSpec(
    name="patches", title="Patches", input_name="images", input_width=patches.WIDTH, input_height=patches.HEIGHT,
    fit="letterbox", output_name="rows", max_detections=patches.MOST, score_floor=0.05, labels=COCO_80,
)  # fmt: skip

CODE = """

import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        rows = rows_of(pb.get_input_tensor_by_name(request, "images").as_numpy()[0])
        rows[rows[:, 5] == CAR, 4] = 0
        rows[rows[:, 5] == DOG, 5] = CAT
        return pb.InferenceResponse([pb.Tensor("rows", rows[None])])
"""

Patches = Mapping[int, tuple[int, int, int, int]]


@dataclass(frozen=True)
class PatchEngine:
    device: str = "cpu"

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        return np.stack([patches.rows_of(one) for one in pixels])


@contextmanager
def legacy_of_patches() -> Iterator[Service]:
    port = free_port()
    with started("a legacy service", port, "tests.browser.sides", str(port)) as service:
        yield service


def write_models(repository: Path) -> None:
    """What it takes is pixels, which the backend prepares itself."""
    for detector in DETECTORS:
        config = f"""
            max_batch_size: 4
            input {{ name: "images" data_type: TYPE_UINT8 dims: [3, {patches.HEIGHT}, {patches.WIDTH}] }}
            output {{ name: "rows" data_type: TYPE_FP32 dims: [{patches.MOST}, 6] }}
            {carried(SPEC)}
        """
        code = Path(patches.__file__).read_text() + CODE
        python_model(repository, f"{detector}_jpeg", code, config)


def painted(width: int = 640, height: int = 360, **places: tuple[int, int, int, int]) -> np.ndarray:
    """`person=(x, y, width, height)`, and so on, in pixels, on grey ground."""
    canvas = np.full((height, width, 3), patches.GROUND, np.uint8)
    for name, (x, y, wide, high) in places.items():
        canvas[y : y + high, x : x + wide] = patches.COLOURS[COCO_80.index(name)]
    return canvas


def picture(width: int = 640, height: int = 360, **places: tuple[int, int, int, int]) -> bytes:
    return pictures.jpeg(painted(width, height, **places))


def main(port: str) -> None:
    settings = ServiceSettings(port=int(port), weights="none")
    app: Any = create_app(SPEC, PatchEngine, settings)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", timeout_keep_alive=20)


if __name__ == "__main__":
    main(*sys.argv[1:])
