"""The health checks of the images, which have no curl: a real inference on the sample picture, not a word about health.

    inference.py backend URL              it may serve, by real answers of its sides
    inference.py legacy URL               it answers a picture
    inference.py triton URL MODEL…        each of these models does

Ends with 0, or with one line that says what is wrong.
"""

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from ai.core.sample import sample_jpeg

TIMEOUT_S = 8.0  # less than the health checks' own


def ask_backend(url: str) -> None:
    _json(f"{url}/health/ready")


def ask_legacy(url: str) -> None:
    answer = _json(f"{url}/detect", sample_jpeg(), {"Content-Type": "image/jpeg"})
    _require(isinstance(answer.get("detections"), list), f"{url} answers without detections")


def ask_triton(url: str, *models: str) -> None:
    _require(bool(models), "no model is named")
    for model in models:
        answer = _json(f"{url}/v2/models/{model}/infer", *_question())
        names = {output["name"] for output in answer.get("outputs", ())}
        _require("detections" in names, f"{model} answers without detections")


def _question() -> tuple[bytes, dict[str, str]]:
    """KServe's binary tensor in, JSON out: the picture's bytes follow the head, whose length a header says."""
    picture = sample_jpeg()
    tensor = {
        "name": "image", "datatype": "UINT8", "shape": [1, len(picture)],
        "parameters": {"binary_data_size": len(picture)},
    }  # fmt: skip
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + picture, {"Inference-Header-Content-Length": str(len(head))}


def _json(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - the address in our own command
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
        found: dict[str, Any] = json.load(answer)
        return found


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


ASK = {"backend": ask_backend, "legacy": ask_legacy, "triton": ask_triton}


def main(kind: str, url: str, *models: str) -> None:
    try:
        ASK[kind](url.rstrip("/"), *models)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code} {error.read(300).decode(errors='replace')}")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
