"""The console's files, and those of the page /docs: read once at the start, and nothing else is ever served from a path
that a caller wrote.

Both pages may load nothing from anywhere else and run nothing that is not a file of ours; nobody may put them in a
frame. They need no key: they hold nothing but themselves, and the console asks for everything with its own key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fastapi import Request, Response

from ai.web.problems import Problem

FOLDER = Path(__file__).parents[1] / "console"
INDEX = "index.html"
DOCS = "docs.html"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    body: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> File:
        body = path.read_bytes()
        return cls(body, MEDIA_TYPES[path.suffix], f'"{sha256(body).hexdigest()[:32]}"')


Files = Mapping[str, File]


def read(folder: Path = FOLDER) -> Files:
    """By name. Only what lies in the folder itself, and is of a kind that a page is made of."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {path.name: File.read(path) for path in sorted(paths) if _is_served(path)}


def edition(files: Files) -> str:
    """Another one where any file is another one: a page that was loaded before knows by it that it is old."""
    return sha256("".join(one.etag for one in files.values()).encode()).hexdigest()[:12]


async def index(request: Request) -> Response:
    return _answer(request, INDEX)


async def docs(request: Request) -> Response:
    return _answer(request, DOCS)


async def file(request: Request) -> Response:
    return _answer(request, request.path_params["name"])


def _answer(request: Request, name: str) -> Response:
    files: Files = request.app.state.console
    found = files.get(name)
    if found is None:
        raise Problem(404, f"the console has no file {name[:100]!r}", HEADERS)
    headers = {**HEADERS, "ETag": found.etag, "Cache-Control": "no-cache"}
    if _is_known(found, request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers={**headers, "Content-Type": found.media_type})


def _is_known(found: File, known: Iterable[str]) -> bool:
    """To whoever asks, as one of the ETags that it names: RFC 9110, 13.1.2. None of ours holds a comma."""
    tags = {tag.strip().removeprefix("W/") for line in known for tag in line.split(",")}
    return found.etag in tags or "*" in tags


def _is_served(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix in MEDIA_TYPES
