"""docs/api.md: a beginning by hand, then every route as the API describes itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from backend.api.app import create_api
from backend.api.describing import WHY
from backend.api.roles import role_of
from docs.making.markdown import begun, code, joined, table

METHODS = ("get", "put", "post", "delete")
_REFUSAL = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "The JPEG's header is cut short.",
}
_WIDE = 110

Document = Mapping[str, Any]


def document() -> Document:
    """Of the app without its parts: describing itself needs none of them."""

    @asynccontextmanager
    async def nothing(_: FastAPI) -> AsyncIterator[None]:
        yield

    return create_api(nothing).openapi()


def page() -> str:
    api = document()
    refusals = table(("status", "when"), [[str(status), why] for status, why in WHY.items()])
    return joined(
        begun("The API", "the routes", "api"),
        "## What is refused",
        f"Always with a sentence, as problem+json (RFC 9457): `{json.dumps(_REFUSAL)}`.",
        refusals,
        "## Routes",
        _list(api),
        *_groups(api),
    )


def routes(api: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in api["paths"].items():
        for method in METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def _list(api: Document) -> str:
    rows = [
        [f"[`{route}`](#{_anchor(route)})", role_of(route), told["summary"]] for route, told in routes(api)
    ]
    return table(("route", "key", "what"), rows)


def _groups(api: Document) -> Iterator[str]:
    shown: dict[str, str] = {}  # which route showed the example of a schema
    for tag in api["tags"]:
        yield f"## {tag['name'].capitalize()}"
        yield f"{tag['description']}."
        for route, told in routes(api):
            if tag["name"] in told["tags"]:
                yield f"### `{route}`"
                yield f"{told['summary']}. Key: {role_of(route)}."
                yield from _taken(told)
                yield from _answers(route, told["responses"], shown)


def _taken(told: Document) -> Iterator[str]:
    parameters = [
        [code(one["name"]), _place(one), _schema(one["schema"]), one.get("description", "")]
        for one in told.get("parameters", ())
    ]
    if parameters:
        yield table(("parameter", "in", "allowed", "meaning"), parameters)
    bodies = told.get("requestBody", {}).get("content", {})
    if bodies:
        yield table(
            ("body", "fields"), [[code(kind), _schema(one["schema"])] for kind, one in bodies.items()]
        )
    yield from (_json(one["example"]) for one in bodies.values() if "example" in one)


def _place(parameter: Document) -> str:
    return f"{parameter['in']}, needed" if parameter.get("required") else str(parameter["in"])


def _answers(route: str, responses: Document, shown: dict[str, str]) -> Iterator[str]:
    answered = [f"{status}: {one['description']}" for status, one in responses.items() if int(status) < 400]
    refused = [status for status in responses if int(status) >= 400]
    yield ". ".join([*answered, f"Refused with {', '.join(refused)}"] if refused else answered) + "."
    for status, one in responses.items():
        content = one.get("content", {}).get("application/json", {})
        if "example" in content and int(status) == 200:
            schema = content["schema"].get("$ref", route).rpartition("/")[2]
            if schema in shown:
                yield f"The answer is that of [`{shown[schema]}`](#{_anchor(shown[schema])})."
            else:
                shown[schema] = route
                yield _json(content["example"])


def _schema(schema: Document) -> str:
    """In a few words; the whole of it is at /openapi.json."""
    if "enum" in schema:
        return ", ".join(code(str(one)) for one in schema["enum"])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_schema(one) for one in schema.get("anyOf") or schema["oneOf"])
    if "properties" in schema:
        return ", ".join(code(name) for name in schema["properties"])
    if "minimum" in schema or "maximum" in schema:
        return f"{schema.get('minimum', '')} to {schema.get('maximum', '')}".strip()
    if schema.get("format") == "binary":
        return "the picture"
    return str(schema.get("type", "anything"))


def _json(example: Any) -> str:
    return f"```json\n{compact(example)}\n```"


def compact(value: Any, indent: int = 0) -> str:
    """As many to a line as fit there."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= _WIDE or not isinstance(value, dict | list) or not value:
        return flat
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + _filled(list(_parts(value, indent + 1)), indent + 1) + closing


def _parts(value: dict[str, Any] | list[Any], indent: int) -> Iterator[str]:
    if isinstance(value, list):
        yield from (compact(one, indent) for one in value)
    else:
        yield from (
            f"{json.dumps(name, ensure_ascii=False)}: {compact(one, indent)}" for name, one in value.items()
        )


def _filled(parts: list[str], indent: int) -> str:
    lines = [parts[0]]
    for part in parts[1:]:
        if "\n" in part + lines[-1] or indent + len(lines[-1]) + len(part) > _WIDE:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    return f"\n{' ' * indent}".join(lines)


def _anchor(route: str) -> str:
    """As GitHub makes it: small letters, no punctuation, dashes for blanks."""
    kept = "".join(letter for letter in route.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")
