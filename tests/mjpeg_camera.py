"""A network camera for tests: motion JPEG over HTTP, at a rate, from one that can be unplugged and plugged in again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import cv2
import numpy as np

PERIOD_S = 0.02


class MjpegCamera:
    """Each picture is a grey of its own, so that a receiver can tell them apart: see `number_of`."""

    def __init__(self, period_s: float = PERIOD_S, port: int = 0) -> None:
        self.sent: list[int] = []  # the number of each picture, as it goes out
        self.plugged_in = True
        self._numbers = count()
        self._period_s = period_s
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/live"

    def close(self) -> None:
        self.plugged_in = False
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        if not self.plugged_in:
            handler.send_error(503)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        try:
            while self.plugged_in:
                number = next(self._numbers)
                self.sent.append(number)
                handler.wfile.write(
                    b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + picture(number) + b"\r\n"
                )
                time.sleep(self._period_s)
        except OSError:
            pass


def picture(number: int) -> bytes:
    """Its number modulo 64 is its grey."""
    pixels = np.full((64, 64, 3), 4 * (number % 64), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def number_of(jpeg: bytes) -> int:
    """Modulo 64."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    return round(float(pixels.mean()) / 4)


def _handler_of(camera: MjpegCamera) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            camera.serve(self)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def mjpeg_camera(period_s: float = PERIOD_S) -> Iterator[MjpegCamera]:
    camera = MjpegCamera(period_s)
    try:
        yield camera
    finally:
        camera.close()
