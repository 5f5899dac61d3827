"""One drawn picture with objects in it, to try a detector on: warm-up, export checks, first contact."""

from pathlib import Path

SAMPLE = Path(__file__).with_name("sample.jpg")


def sample_jpeg() -> bytes:
    return SAMPLE.read_bytes()
