"""The `crossfade` command: start everything here, see that it detects, end it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from ai.core.errors import BadSetting
from ai.core.sample import sample_jpeg
from backend import local_stack
from backend.local_stack import Running, StackError
from backend.settings import Settings, read_settings

MODELS = "models"
SHOWN_SCORE = 0.5
IMAGE_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


def main(arguments: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == [MODELS]:
        sys.exit(_models(words[1:]))
    args = _parser().parse_args(words)
    command: Callable[[argparse.Namespace, Settings], int] = args.command
    try:
        sys.exit(command(args, read_settings()))
    except (BadSetting, StackError) as error:
        sys.exit(f"crossfade: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _up(args: argparse.Namespace, settings: Settings) -> int:
    with local_stack.ended_by_signals():
        print("Starting the two legacy services; the first start takes some seconds.")
        running = local_stack.start(settings, dict(os.environ), tell=print)  # noqa: TID251 - handed on whole
        stays = False
        try:
            _show_sample(running)
            stays = args.detach
            if args.detach:
                print("\nThey run on. `crossfade down` (or `make down`) ends them.")
            else:
                print("\nCtrl-C ends them.", flush=True)
                local_stack.watch(settings, running)
        finally:
            if not stays:
                print()
                local_stack.stop(settings, running, tell=print)
    return 0


def _down(_: argparse.Namespace, settings: Settings) -> int:
    running = local_stack.known(settings)
    local_stack.stop(settings, running, tell=print)
    if not running:
        print("Nothing was running.")
    return 0


def _status(_: argparse.Namespace, settings: Settings) -> int:
    running = local_stack.known(settings)
    for service in local_stack.services_of(settings):
        mine = next((f"process {one.pid}" for one in running if one.name == service.name), "not started here")
        print(f"{service.name:8} {service.url:28} {mine:20} {_health(service.url)}")
    return 0 if len(running) == len(local_stack.services_of(settings)) else 1


def _models(arguments: Sequence[str]) -> int:
    """In a process of its own, with words of its own: it needs torch, and nothing else here does."""
    command = [sys.executable, "-m", "ai.triton.models", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module, the caller's own words


def _detect(args: argparse.Namespace, settings: Settings) -> int:
    failed = 0
    for service in local_stack.services_of(settings):
        if args.detector in {None, service.name}:
            for image in args.images:
                failed += not _detect_one(service.name, service.url, image)
    return 1 if failed else 0


def _detect_one(name: str, url: str, image: Path) -> bool:
    try:
        answer = _post(
            url, image.read_bytes(), IMAGE_TYPES.get(image.suffix.lower(), "application/octet-stream")
        )
        print(f"\n{name}: {image}\n{_table(answer)}")
    except httpx.TransportError as error:
        print(f"{name} at {url} cannot be reached ({error}); `crossfade up` starts it", file=sys.stderr)
        return False
    except (OSError, StackError) as error:
        print(f"{name}: {image}: {error}", file=sys.stderr)
        return False
    return True


def _show_sample(running: list[Running]) -> None:
    """A drawn scene through each service: the shortest proof that they detect."""
    for one in running:
        answer = _post(one.url, sample_jpeg(), "image/jpeg")
        print(f"\n{one.name}: the sample picture (ai/core/sample.jpg)\n{_table(answer)}")
    print(f"\nTry your own:  {sys.argv[0]} detect PICTURE.jpg")
    for one in running:
        print(f"  {one.name:7} POST {one.url}/detect    docs {one.url}/docs    log {one.log}")


def _post(url: str, data: bytes, media_type: str) -> dict[str, Any]:
    """A service's answer, or a StackError with the sentence that it gave instead."""
    with local_stack.client() as ask:
        answer = ask.post(f"{url}/detect", content=data, headers={"content-type": media_type})
    try:
        document: dict[str, Any] = answer.json()
        if answer.status_code == httpx.codes.OK:
            return document
        detail = document["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200]
    raise StackError(f"{url} answered {answer.status_code}: {detail}")


def _table(answer: dict[str, Any]) -> str:
    lines = [f"  {'class':12} {'score':>5}   x, y, width, height"]
    for found in answer["detections"]:
        if found["confidence"] >= SHOWN_SCORE:
            box = ", ".join(f"{found['bbox'][side]:.0f}" for side in ("x", "y", "width", "height"))
            lines.append(f"  {found['class']:12} {found['confidence']:5.2f}   {box}")
    size = f"{answer['image_width']} x {answer['image_height']}"
    count = len(lines) - 1
    lines.append(
        f"  {count} found at {SHOWN_SCORE} or more in {size} pixels, {answer['inference_time_ms']:.0f} ms of inference"
    )
    return "\n".join(lines)


def _health(url: str) -> str:
    try:
        with local_stack.client() as ask:
            return str(ask.get(f"{url}/health").json()["status"])
    except (httpx.TransportError, ValueError, KeyError, TypeError):
        return "unreachable"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crossfade", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the services here and send a drawn scene through each")
    up.add_argument("--detach", action="store_true", help="leave them running and come back")
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="end what `up` started")
    down.set_defaults(command=_down)
    status = commands.add_parser("status", help="what runs here, and how it is; exit status 1 if not all do")
    status.set_defaults(command=_status)
    commands.add_parser(MODELS, help="build, list, add and compare what a Triton serves", add_help=False)
    detect = commands.add_parser(
        "detect", help="send pictures to the legacy services and print what they find"
    )
    detect.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    detect.add_argument("--detector", choices=("rtdetr", "yolo26"), help="ask one of them only")
    detect.set_defaults(command=_detect)
    return parser


if __name__ == "__main__":
    main()
