"""A real camera's stream, RTSP or motion JPEG: read as fast as it comes, so that what is taken of it is never old.

A thread passes every frame by and makes a picture of the next one only when somebody waits for it. A stream that is
lost is opened again, at first soon and then more seldom, for as long as the camera is played.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Event, Thread

from backend.footage import STREAM_PATIENCE_S, NoFootage, open_footage

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
LONGEST_READ_S = 2 * STREAM_PATIENCE_S  # a stream that opens late, and then says nothing
SOON_S = 1.0  # a stream that has not ended by then has stalled
LONGEST_LOOK_S = 2.0  # for the next frame, however seldom one is wanted
WITHOUT_END = 10**12

Tell = Callable[[str], None]


class _Closing(Exception):
    """Ends the reading between two frames."""


class LiveStream:
    def __init__(self, url: str, fps: float, tell: Tell) -> None:
        """`tell` hears of each loss and each return, from the thread that reads."""
        self._url, self._tell = url, tell
        self._patience_s = min(1 / fps, LONGEST_LOOK_S)
        self._changed = Condition()
        self._wanted = False
        self._latest: bytes | None = None
        self._closing = Event()
        self._lives: bool | None = None  # None: it was not opened yet
        self._thread = Thread(target=self._read, name="stream", daemon=True)

    def prepare(self) -> None:
        """Opening may take seconds, or never end: frames fall due meanwhile, as they do when it is lost."""
        self._thread.start()

    def picture(self, number: int, at_s: float) -> bytes | None:  # noqa: ARG002 - it has a time of its own
        """The next that the camera takes; None where none comes in time."""
        with self._changed:
            self._latest, self._wanted = None, True
            self._changed.wait_for(
                lambda: self._latest is not None or self._closing.is_set(), self._patience_s
            )
            self._wanted = False
            return self._latest

    def close(self) -> None:
        """The thread is gone when this returns: OpenCV's readers do not survive the end of their process."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(SOON_S)
        if self._thread.is_alive():
            self._tell(f"says nothing; it is let go of within {LONGEST_READ_S:g} s")
            self._thread.join(LONGEST_READ_S)

    def _read(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._closing.is_set():
            why = self._read_until_lost()
            if self._lives:
                wait_s = FIRST_WAIT_S
            if self._lives is not False and not self._closing.is_set():
                self._tell(f"{'lost: ' if self._lives else ''}{why}; it is tried again until it is there")
            self._lives = False
            self._closing.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _read_until_lost(self) -> str:
        """Why."""
        try:
            for frame in open_footage(self._url, WITHOUT_END).frames(self._is_wanted):
                self._hand(frame.image)
        except _Closing:
            return "we end"
        except NoFootage as error:
            return "the stream ended" if self._lives else str(error)
        return "the stream ended"

    def _is_wanted(self) -> bool:
        """Asked once a frame."""
        if self._closing.is_set():
            raise _Closing
        if not self._lives:
            if self._lives is False:
                self._tell("is back")
            self._lives = True
        return self._wanted

    def _hand(self, image: bytes) -> None:
        with self._changed:
            self._latest, self._wanted = image, False
            self._changed.notify_all()
