"""For NVIDIA's container: what TensorRT needs to compile a detector there. None of it runs on this machine.

A plan belongs to one GPU and one TensorRT, so a version holds the graph and the call that compiles it. Until
`build_plan.sh` was run in it, Triton refuses the version, and says that model.plan is missing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.triton.stored.config import ModelPlan
from ai.triton.stored.served import GRAPH

PLAN = "model.plan"
SCRIPT = "build_plan.sh"
OPTIMAL_BATCH = 4
MAX_HEADER_BYTES = 1 << 20


class NotAnEngine(CrossfadeError):
    pass


def fill(version: Path, plan: ModelPlan, graph: Path, compiled: Path | None) -> None:
    """`compiled`: an engine that was made elsewhere for that GPU, by trtexec or by ultralytics."""
    shutil.copyfile(graph, version / GRAPH)
    if compiled is not None:
        (version / PLAN).write_bytes(strip_header(compiled.read_bytes()))
    script = version / SCRIPT
    script.write_text(_script(plan))
    script.chmod(0o755)


def _script(plan: ModelPlan) -> str:
    spec = plan.spec
    shape = f"3x{spec.input_height}x{spec.input_width}"
    largest = plan.batching.max_batch
    sizes = {"min": 1, "opt": min(OPTIMAL_BATCH, largest), "max": largest}
    profiles = " \\\n  ".join(
        f"--{name}Shapes={spec.input_name}:{size}x{shape}" for name, size in sizes.items()
    )
    return f"""#!/bin/sh
# Compiles {GRAPH} for the GPU it runs on, in NVIDIA's Triton or TensorRT container (TensorRT 8.6 or newer).
set -eu
cd "$(dirname "$0")"
trtexec --onnx={GRAPH} --saveEngine={PLAN}.part \\
  {profiles} \\
  --fp16 --memPoolSize=workspace:4096 --skipInference
mv {PLAN}.part {PLAN}
"""


def strip_header(engine: bytes) -> bytes:
    """ultralytics writes a length and JSON in front of an engine, and Triton does not skip them."""
    length = int.from_bytes(engine[:4], "little")
    if not 2 <= length <= MAX_HEADER_BYTES or engine[4:5] != b"{":
        return engine
    try:
        json.loads(engine[4 : 4 + length])
    except ValueError:
        return engine
    if len(engine) <= 4 + length:
        raise NotAnEngine("the file holds ultralytics' header and no engine behind it")
    return engine[4 + length :]
