"""`crossfade compare`: do legacy and Triton see the same in one's own footage? No production traffic is touched."""

from __future__ import annotations

import argparse
from pathlib import Path

from ai.terminal.interrupting import ended_at_once
from backend.commands.words import Commands, add
from backend.settings import DETECTORS, Settings
from backend.sides import LEGACY, TRITON


def add_words(commands: Commands) -> None:
    compare = add(
        commands, "compare", _compare, "do both sides see the same in your own footage? no traffic is touched",
        "  crossfade compare --source pictures/                       legacy against Triton, both started for it\n"
        "  crossfade compare --source gate.mp4 --every 25 --frames 500\n"
        "  crossfade compare --source rtsp://10.0.0.7/stream --out report    ends after --frames, or by Ctrl-C\n"
        "  crossfade compare --source pictures/ --a triton:yolo26_jpeg/1 --b triton:yolo26_jpeg/2\n"
        "Exit status 0: they agree, or nothing speaks against it; 1: they differ; 2: it could not be compared.",
    )  # fmt: skip
    compare.add_argument(
        "--source",
        required=True,
        metavar="DIR|VIDEO|RTSP",
        help="a folder of pictures, a video file, a stream",
    )
    compare.add_argument("--detector", choices=DETECTORS, default="yolo26", help="(yolo26)")
    compare.add_argument("--frames", type=_count, default=1000, metavar="N", help="at most so many (1000)")
    compare.add_argument(
        "--every", type=_count, default=1, metavar="N", help="of the footage, each N-th frame (1)"
    )
    for side, default in (("a", LEGACY), ("b", TRITON)):
        words = f"legacy, triton, triton:MODEL or triton:MODEL/VERSION ({default})"
        compare.add_argument(f"--{side}", default=default, metavar="SIDE", help=words)
    compare.add_argument(
        "--tolerance", type=_share, default=0.01, metavar="SHARE", help="of pictures that may differ (0.01)"
    )
    compare.add_argument(
        "--out", type=Path, metavar="DIR", help="for report.html and report.json (var/compare/…)"
    )
    compare.add_argument("--json", action="store_true", help="the report as JSON instead of a summary")
    compare.add_argument(
        "--legacy-url", metavar="URL", help="a running legacy service, instead of one of our own"
    )
    compare.add_argument(
        "--triton-url", metavar="URL", help="a running Triton: host:port of gRPC, or http://host:port"
    )


def _compare(args: argparse.Namespace, settings: Settings) -> int:
    """What it takes is imported by who wants it: half a second, most of it for the statistics."""
    with ended_at_once():
        from backend.commands.comparing import compare  # noqa: PLC0415
    return compare(args, settings)


def _count(text: str) -> int:
    if not 1 <= (count := int(text)) <= 10_000_000:
        raise ValueError
    return count


def _share(text: str) -> float:
    if not 0 < (share := float(text)) < 1:
        raise ValueError
    return share


_count.__name__ = "whole number from 1"  # argparse shows it
_share.__name__ = "share between 0 and 1"
