"""Train the demo weights on drawn scenes: `python -m ai.demo.train yolo26 --minutes 12 --out demo.pt`.

Made for one GPU held for some minutes: every scene lies in its memory, pictures are made there (`augment.py`),
and the schedule follows the clock, so that a run always ends with its learning rate at the floor.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.utils.loss import E2ELoss

from ai.core.geometry import FitKind
from ai.demo.augment import Bank, Recipe, make_batch
from ai.demo.dataset import draw_arrays
from ai.demo.evaluate import DETECTORS
from ai.engines.weights import load_state, save_state

CLOSING_SHARE = 0.2  # of the time: no mosaic, gentle changes, so that the end sees what will be served
FULL_SIZE, EARLY_SIZE = 640, 448  # smaller pictures teach as much at first, in half the time
EARLY_SHARE = 0.5  # of the time, for a network that knows nothing yet
SAVE_EVERY = 250  # steps
LOSS_STAGES = 100  # how often YOLO26's weight moves from its one-to-many to its one-to-one head


@dataclass(frozen=True, slots=True)
class Plan:
    model: str
    fit: FitKind
    minutes: float
    scenes: int
    seed: int
    batch: int
    learning_rate: float
    weight_decay: float
    clip_norm: float
    mosaic_share: float
    early_share: float
    start_from: str | None


def main() -> None:
    args = _arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    plan = _plan(args)
    arrays = draw_arrays(args.scenes, args.seed, "train", args.folder, args.processes)
    print(f"{args.scenes} scenes drawn", flush=True)
    trained, record = train(plan, Bank.of(arrays, device), device, args.out)
    save_state(trained, args.out)
    args.out.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record), flush=True)


def train(plan: Plan, bank: Bank, device: torch.device, out: Path) -> tuple[nn.Module, dict[str, Any]]:
    model = _build(plan.model, device)
    if plan.start_from:
        load_state(model, Path(plan.start_from))
    model.train()
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(
        _groups(model, plan.weight_decay), lr=plan.learning_rate, betas=(0.9, 0.999)
    )
    started, step = time.monotonic(), 0
    while (progress := (time.monotonic() - started) / (60 * plan.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * _rate(step, progress)
        loss, parts = _loss(model, plan, bank, progress, device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
        optimizer.step()
        step += 1
        _follow(average, model, step)
        if step % SAVE_EVERY == 0:
            shown = " ".join(f"{name} {float(value):.3f}" for name, value in parts.items())
            print(f"{plan.model} step {step} {progress:.0%} {shown}", flush=True)
            save_state(average, out)
    seconds = time.monotonic() - started
    return average, {**asdict(plan), "steps": step, "pictures": step * plan.batch, "seconds": round(seconds),
                     "torch": torch.__version__, "device": _device_name(device)}  # fmt: skip


def _loss(
    model: Any, plan: Plan, bank: Bank, progress: float, device: torch.device
) -> tuple[Tensor, dict[str, Tensor]]:
    closing = progress > 1 - CLOSING_SHARE
    size = EARLY_SIZE if progress < plan.early_share else FULL_SIZE
    recipe = Recipe(plan.fit, size, 0.0 if closing else plan.mosaic_share, 0.35 if closing else 1.0)
    batch = make_batch(bank, plan.batch, recipe).for_ultralytics()
    if isinstance(model.criterion, E2ELoss) and progress * LOSS_STAGES > model.criterion.updates:
        model.criterion.update()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        loss, parts = model.loss(batch)
    return loss.sum() / (plan.batch if plan.model == "yolo26" else 1), parts


def _build(name: str, device: torch.device) -> Any:
    """The untrained network; its head and its loss stay in FP32: a box needs more than BF16's eight bits.

    Typed as Any: from here on it is what ultralytics hangs on its modules.
    """
    model: Any = DETECTORS[name]().build_demo().to(device)
    model = model.to(
        memory_format=torch.channels_last
    )  # the other layout's batch norm takes a third of a step
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=LOSS_STAGES)
    model.nc = model.model[-1].nc  # RT-DETR's loss asks the model for it, which ultralytics' own trainer sets
    model.criterion = model.init_criterion()
    head, forward = model.model[-1], model.model[-1].forward

    def in_full_precision(features: list[Tensor], *rest: Any) -> Any:
        with torch.autocast(features[0].device.type, enabled=False):
            return forward([feature.float() for feature in features], *rest)

    head.forward = in_full_precision
    return model


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    plain = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def _rate(step: int, progress: float) -> float:
    """Warm up over 500 steps, then a cosine down to a hundredth."""
    return min(1.0, (step + 1) / 500) * (0.01 + 0.99 * (1 + math.cos(math.pi * min(progress, 1.0))) / 2)


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, step: int) -> None:
    decay = 0.999 * (1 - math.exp(-step / 1000))
    ours, theirs = average.state_dict(), model.state_dict()
    floats = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_([ours[name] for name in floats], [theirs[name] for name in floats], 1 - decay)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _plan(args: argparse.Namespace) -> Plan:
    yolo = args.model == "yolo26"
    return Plan(
        model=args.model,
        fit="letterbox" if yolo else "stretch",
        minutes=args.minutes,
        scenes=args.scenes,
        seed=args.seed,
        batch=args.batch,
        learning_rate=args.learning_rate or (1e-3 if yolo else 4e-4),
        weight_decay=0.02 if yolo else 1e-4,
        clip_norm=10.0 if yolo else 0.1,
        mosaic_share=0.5 if yolo else 0.3,
        early_share=0.0 if args.start_from else EARLY_SHARE,
        start_from=str(args.start_from) if args.start_from else None,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=tuple(DETECTORS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="weights of an earlier run to go on from")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--scenes", type=int, default=30_000)
    parser.add_argument(
        "--seed", type=int, default=1_000_000, help="the first scene's; evaluation uses others"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--folder", type=Path, default=Path("var/scenes"), help="where drawn scenes are kept")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
