"""All that is fuzzed case by case. Each is imported where it is asked: a worker needs the libraries of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

from tests.fuzz.target import Target


def _made(module: str, kind: str, *words: str) -> Target:
    target: Target = getattr(import_module(f"tests.fuzz.{module}"), kind)(*words)
    return target


TARGETS: Mapping[str, Callable[[], Target]] = {
    "jpeg": partial(_made, "picture_target", "Pictures", "jpeg"),
    "png": partial(_made, "picture_target", "Pictures", "png"),
    "webp": partial(_made, "picture_target", "Pictures", "webp"),
    "exif": partial(_made, "picture_target", "Labels"),
    "served": partial(_made, "picture_services", "ServedPictures"),
    "triton-grpc": partial(_made, "triton_target", "GrpcAnswers"),
    "triton-http": partial(_made, "triton_target", "HttpAnswers"),
    "triton-described": partial(_made, "triton_target", "Descriptions"),
    "triton-line-grpc": partial(_made, "triton_line", "TritonLine", "grpc"),
    "triton-line-http": partial(_made, "triton_line", "TritonLine", "http"),
    "legacy-answers": partial(_made, "legacy_target", "LegacyAnswers"),
    "legacy-line": partial(_made, "legacy_target", "LegacyLine"),
    "mishaps": partial(_made, "mishaps", "Mishaps"),
}
