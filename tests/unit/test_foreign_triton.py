"""A Triton that is none, or a strange one: told in a line, whatever it answers and however slowly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

import pytest

from ai.triton.client import Protocol
from backend.stack import foreign_triton
from backend.stack.foreign_triton import Seen, examined

WHOLE = b'{"name": "t", "version": "1", "extensions": ["statistics", "model_configuration", "binary_tensor_data"]}'
DRIP_S = 0.05


@contextmanager
def server(answers: dict[str, bytes], drips: str = "") -> Iterator[str]:
    """`drips` is a path where one byte after the other comes, for ever."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == drips:
                self.end_headers()
                self.drip()
                return
            body = answers.get(self.path, b"{}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def drip(self) -> None:
            for byte in repeat(b" "):
                try:
                    self.wfile.write(byte)
                except OSError:
                    return
                if over.wait(DRIP_S):
                    return

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{listening.server_port}"
        finally:
            over.set()
            listening.shutdown()
            thread.join()


def ills(target: str, protocol: Protocol = "http") -> list[Seen]:
    return [seen for seen in examined(target, protocol, ["m"]) if not seen.well]


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"name": "t", "version": "1", "extensions": null}',
        b"<html>",
        b"\xff",
        b"",
    ],
)
def test_what_answers_as_no_triton_does_is_told_in_a_line(answer):
    with server({"/v2": answer}) as target:
        (ill,) = ills(target)
    assert ill.about == "server"
    assert target in ill.words
    assert "\n" not in ill.words


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("target", ["localhost:99999", "localhost:many", ""])
def test_an_address_that_cannot_be_is_told_in_a_line(target, protocol):
    (ill,) = ills(target, protocol)
    assert ill.about == "server"


@pytest.mark.parametrize(("drips", "about"), [("/v2", "server"), ("/v2/models/m", "m")])
def test_one_that_never_comes_to_its_end_is_not_waited_for(monkeypatch, drips, about):
    """Each byte comes in time; only the whole does not."""
    monkeypatch.setattr(foreign_triton, "LOOK_TIMEOUT_S", 10 * DRIP_S)
    monkeypatch.setattr(foreign_triton, "_CALL_S", 10 * DRIP_S, raising=False)

    async def found(target: str) -> list[Seen]:
        return [seen async for seen in foreign_triton.examine(target, "http", ["m"])]

    with server({"/v2": WHOLE}, drips) as target:
        *_, last = asyncio.run(asyncio.wait_for(found(target), 200 * DRIP_S))
    assert (last.about, last.well) == (about, False)
    assert "within 0.5 s" in last.words
