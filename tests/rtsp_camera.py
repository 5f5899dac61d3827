"""A network camera for tests that speaks RTSP, its pictures as RTP inside the same connection (RFC 2326, RFC 2435)."""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from tests.mjpeg_camera import PERIOD_S, picture

SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track0\r\n"
UNSUPPORTED = "461 Unsupported Transport"  # UDP: then the caller asks for TCP
RTP_JPEG, RTP_CLOCK_HZ = 26, 90_000
YUV_420, TABLES_INSIDE = 1, 255  # RFC 2435: the type, and the Q that says so
SIDE = 64  # pixels


class RtspCamera:
    """Wants its user and password in the address, as cameras do, and does not look at them."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self.sent: list[int] = []
        self.playing = True
        self._period_s = period_s
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"rtsp://me:secret@127.0.0.1:{self._server.server_address[1]}/live"

    def close(self) -> None:
        self.playing = False
        self._server.shutdown()
        self._server.server_close()

    def play(self, handler: socketserver.StreamRequestHandler) -> None:
        began = time.monotonic()
        for sequence in count():
            if not self.playing:
                return
            ticks = round((time.monotonic() - began) * RTP_CLOCK_HZ)
            packet = _rtp(sequence, ticks, _payload(picture(sequence)))
            self.sent.append(sequence)
            handler.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            time.sleep(self._period_s)


@contextmanager
def rtsp_camera(period_s: float = PERIOD_S) -> Iterator[RtspCamera]:
    camera = RtspCamera(period_s)
    try:
        yield camera
    finally:
        camera.close()


def _handler_of(camera: RtspCamera) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while request := self._request():
                    method, number, asked = request
                    if method == "SETUP" and "TCP" not in asked:
                        method = UNSUPPORTED
                    self.wfile.write(_reply(method, number))
                    if method == "PLAY":
                        camera.play(self)
                        return

        def _request(self) -> tuple[str, str, str] | None:
            """Its method, its number, and the transport that it asks for."""
            lines = []
            while line := self.rfile.readline().decode().strip():
                lines.append(line)
            if not lines:
                return None
            named = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
            }
            return lines[0].split()[0], named["cseq"], named.get("transport", "")

    return Handler


def _reply(method: str, number: str) -> bytes:
    head = {
        "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
        "PLAY": "Session: 1\r\n",
    }.get(method, "")
    body = SDP if method == "DESCRIBE" else ""
    status = UNSUPPORTED if method == UNSUPPORTED else "200 OK"
    return f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{head}\r\n{body}".encode()


def _rtp(sequence: int, ticks: int, payload: bytes) -> bytes:
    """One packet a picture: its last, so the marker is set."""
    return struct.pack(">BBHII", 0x80, 0x80 | RTP_JPEG, sequence % 2**16, ticks % 2**32, 7) + payload


def _payload(jpeg: bytes) -> bytes:
    tables, scan = _parts(jpeg)
    head = struct.pack(">IBBBB", 0, YUV_420, TABLES_INSIDE, SIDE // 8, SIDE // 8)
    return head + struct.pack(">BBH", 0, 0, len(tables)) + tables + scan


def _parts(jpeg: bytes) -> tuple[bytes, bytes]:
    """Its quantisation tables, and the scan between their segments and the end."""
    tables, place = b"", 2
    while True:
        _, marker, size = struct.unpack_from(">BBH", jpeg, place)
        segment = jpeg[place + 4 : place + 2 + size]
        if marker == 0xDB:
            tables += b"".join(segment[start + 1 : start + 65] for start in range(0, len(segment), 65))
        place += 2 + size
        if marker == 0xDA:
            return tables, jpeg[place:-2]
