"""How an endpoint is described: what it takes, what it answers, and why it may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.api.keys import HEADER
from backend.api.schemas import ref

Operation = dict[str, Any]
Example = dict[str, Any]
Security = list[dict[str, list[str]]]

KEY: Security = [{"key": []}]
KEY_OR_NONE: Security = [{}, {"key": []}]

WHY: Mapping[int, str] = {
    400: "Not an image, a broken one, or a body that cannot be read",
    401: f"A key is needed ({HEADER}), or the one sent is not known",
    403: "The key's role does not allow this",
    404: "It is not there, or no longer",
    408: "The body did not arrive in time",
    409: "Not possible as things stand",
    412: "Changed meanwhile; the current version is in ETag",
    413: "Over 10 MiB or 25 megapixels",
    414: "The query is too long",
    415: "A type other than JPEG, PNG and WebP",
    422: "A value that is not allowed, or a picture that is refused by who looked at it",
    428: "If-Match is missing",
    503: "No side can serve, or too much is asked; see Retry-After",
    504: "The deadline passed before there was an answer",
}


def answered(schema: str, example: Example, description: str = "Answered") -> Operation:
    return {
        "description": description,
        "content": {"application/json": {"schema": ref(schema), "example": example}},
    }


def problems(*statuses: int, schema: str = "Problem") -> dict[int | str, Operation]:
    content = {"application/problem+json": {"schema": ref(schema)}}
    return {status: {"description": WHY[status], "content": content} for status in statuses}


def parameter(where: str, name: str, schema: dict[str, Any], description: str) -> Operation:
    return {"name": name, "in": where, "required": False, "schema": schema, "description": description}


def problem_example(status: int, title: str, detail: str) -> Example:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def takes(
    content: Operation | None, parameters: list[Operation], security: Security, *, must: bool = True
) -> Operation:  # fmt: skip
    body = {"requestBody": {"required": must, "content": content}} if content is not None else {}
    return {**body, "parameters": parameters, "security": security}
