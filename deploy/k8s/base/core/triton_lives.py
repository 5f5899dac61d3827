"""Whether a restart would help: `triton_lives.py URL MODEL…` ends with 1 where a model of this Triton fails inside.

Triton keeps a model whose Python process is dead, and fails every call to it (INTERNAL) until it is started again.
One that is late, full, loading or not there may be busy, and is not killed for that. `inference` is the image's own.
"""

from __future__ import annotations

import sys
import urllib.error
from http import HTTPStatus

import inference

TRIES = 2  # once may be an accident


def main(url: str, *models: str) -> None:
    dead = [model for model in models if all(fails_inside(url, model) for _ in range(TRIES))]
    if dead:
        sys.exit(f"{', '.join(dead)} at {url}: fails inside")


def fails_inside(url: str, model: str) -> bool:
    try:
        inference.ask_triton(url, model)
    except urllib.error.HTTPError as error:
        return error.code == HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, ValueError):
        return False
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
