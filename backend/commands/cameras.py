"""`crossfade cameras`: drawn cameras, or real ones, played against the backend at the rate they have."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ai.terminal.live import LiveLine
from backend.cameras.asking import HttpBackend
from backend.cameras.figures import CameraFigures, Total
from backend.cameras.opening import DRAWN_CAMERAS, Camera, Wanted, open_cameras
from backend.cameras.player import play
from backend.cameras.playing import Noticed, Playing, Shown
from backend.cameras.summary import Summary, headers, rows
from backend.cameras.telling import ForPeople, ForPrograms
from backend.commands.asking import add_asking, backend_of
from backend.commands.statuses import Status
from backend.commands.terminal import table
from backend.commands.words import Commands, complain, say, share, tell
from backend.settings import Settings
from backend.stack.signals import asked_to_end

LOOK_S = 0.5  # between two looks at the live line
MOST_CAMERAS, MOST_FPS = 1000, 120.0


def _within(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError
        return value

    parse.__name__ = f"number from {least:g} to {most:g}"  # argparse shows it
    return parse


_fps, _seconds = _within(0.01, MOST_FPS), _within(0.1, 1e9)


def _whole(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not 1 <= (count := int(text)) <= most:
            raise ValueError
        return count

    parse.__name__ = f"whole number from 1 to {most:,}"
    return parse


_count, _frames = _whole(MOST_CAMERAS), _whole(1_000_000_000)


def add_words(commands: Commands) -> None:
    cameras = add_asking(
        commands, "cameras", _cameras, "play cameras against the backend, drawn ones or real ones",
        "  crossfade cameras -n 4 --fps 5                                  drawn, until Ctrl-C\n"
        "  crossfade cameras --source yard=rtsp://10.0.0.7/stream --track  with ids that stay: yard-7\n"
        "  crossfade cameras --source http://10.0.0.8/mjpeg --source gate.mp4 --loop\n"
        "  crossfade cameras -n 8 --seconds 30 --json | jq -c 'select(.event==\"frame\").detections[]'\n"
        "A frame that falls due while its camera's last one is under way is dropped and counted, never queued.\n"
        "Exit status 0: frames were answered; 1: none ever was; 3: the backend was never reached; 4: it refused all.",
    )  # fmt: skip
    cameras.add_argument(
        "-n",
        dest="count",
        type=_count,
        metavar="N",
        help=f"so many cameras ({DRAWN_CAMERAS}, or each source once)",
    )
    cameras.add_argument("--fps", type=_fps, default=5.0, metavar="RATE", help="frames a second of each (5)")
    cameras.add_argument(
        "--source", action="append", default=[], metavar="[NAME=]SRC",
        help="rtsp://…, http://… (motion JPEG), a video file, a folder; may be repeated (drawn cameras)",
    )  # fmt: skip
    cameras.add_argument("--loop", action="store_true", help="files and folders begin again at their end")
    cameras.add_argument("--track", action="store_true", help="ids that stay with what is seen, by ByteTrack")
    cameras.add_argument("--detector", help="(TRITON_MODEL, rtdetr)")
    cameras.add_argument("--min-confidence", type=share, metavar="SCORE", help="(the backend's threshold)")
    cameras.add_argument("--seconds", type=_seconds, metavar="S", help="of frames, then end (without end)")
    cameras.add_argument("--frames", type=_frames, metavar="N", help="of each camera, then end")
    cameras.add_argument(
        "--json",
        action="store_true",
        help="a line of JSON for each frame, and one at the end with all figures",
    )


def _cameras(args: argparse.Namespace, settings: Settings) -> int:
    wanted = Wanted(args.count, args.source, args.fps, args.loop, args.track)
    backend = HttpBackend(backend_of(args, settings), args.detector, args.min_confidence)
    figures = asyncio.run(_played(args, wanted, backend))
    _tell_end(figures, args.json)
    status, why = _ended(Total.of(figures))
    if why:
        complain(f"crossfade cameras: {why}")
    return status


async def _played(args: argparse.Namespace, wanted: Wanted, backend: HttpBackend) -> list[CameraFigures]:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    shown = _Show(args.json, stop)

    def tell_of(camera: str, words: str) -> None:  # from the thread that reads a stream
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(shown.hear, Noticed(camera, words))

    def end() -> None:
        loop.call_soon_threadsafe(stop.set)

    cameras = open_cameras(wanted, tell_of)
    with asked_to_end(end), shown.live:
        async with backend:
            return await shown.played(cameras, backend, args.seconds, args.frames)


class _Show:
    """What is played, and what is told of it meanwhile."""

    def __init__(self, as_json: bool, stop: asyncio.Event) -> None:
        self.live = LiveLine(quiet=as_json)
        self._as_json, self._stop = as_json, stop
        self._teller: ForPeople | ForPrograms = ForPrograms(say)
        self._unwritten: OSError | None = None

    def hear(self, event: Shown | Noticed) -> None:
        try:
            self._teller(event)
        except OSError as error:  # nobody listens any more, which is well; or the disk is full, which is not
            self._unwritten = None if isinstance(error, BrokenPipeError) else error
            self._stop.set()

    async def played(
        self, cameras: Sequence[Camera], backend: HttpBackend, seconds: float | None, frames: int | None
    ) -> list[CameraFigures]:
        telling = asyncio.create_task(self._keep_telling())
        try:
            figures = await play(
                cameras, backend, seconds, frames, hear=self.hear, stop=self._stop, watch=self._watch
            )
        finally:
            telling.cancel()
            self._teller.show()
        if self._unwritten is not None:
            raise self._unwritten
        return figures

    def _watch(self, playing: Sequence[Playing]) -> None:
        if not self._as_json:
            self._teller = ForPeople(self.live, Summary(playing, time.monotonic))

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._teller.show()


def _tell_end(figures: Sequence[CameraFigures], as_json: bool) -> None:
    if as_json:
        cameras = [one.document() for one in figures]
        tell(json.dumps({"event": "end", "cameras": cameras, "total": Total.of(figures).document()}))
    else:
        tell(*table(headers(figures), list(rows(figures))))


def _ended(total: Total) -> tuple[Status, str]:
    """A few failures are the figures' business; no answer at all is the status's."""
    if total.answered:
        return Status.DONE, ""
    failed = {kind for kind, count in total.failed.items() if count} - {"unfinished"}
    if failed == {"away"}:
        return Status.AWAY, "the backend was never reached; `crossfade up` starts it"
    if failed == {"refused"}:
        return Status.REFUSED, "the backend refused every frame"
    if not total.due:
        return Status.NOT_DONE, "it was ended before the first frame was due"
    if not total.sent:
        return Status.NOT_DONE, "no camera ever gave a picture"
    return Status.NOT_DONE, "no frame was ever answered"
