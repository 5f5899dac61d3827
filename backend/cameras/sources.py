"""Where a camera's pictures come from: drawn as they are asked for, or recorded, in a folder or a video file.

`picture` waits for disks and networks, so it runs in a thread; one camera asks for one at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ai.demo.live import LiveScene
from backend.cameras.errors import CannotPlay, Ended
from backend.footage import NoFootage, grabbed, opened, read


class Source(Protocol):
    def prepare(self) -> None:
        """Before the first frame falls due; in a thread."""

    def picture(self, number: int, at_s: float) -> bytes | None:
        """Of the frame with this number, which fell due `at_s` seconds after the first; those between are skipped.

        None where the camera gives none in time; Ended where it is over; NoFootage where it cannot be read.
        """

    def close(self) -> None: ...


class Drawn:
    """A live camera of ours; one that is `ahead_s` sees what another of the same scene will see then."""

    def __init__(self, scene: LiveScene, ahead_s: float) -> None:
        self._scene, self._ahead_s = scene, ahead_s

    def prepare(self) -> None:
        self._scene.frame(0.0)  # painting takes a third of a second

    def picture(self, number: int, at_s: float) -> bytes | None:  # noqa: ARG002 - time is what it moves by
        return self._scene.jpeg(at_s + self._ahead_s)

    def close(self) -> None:
        """Nothing is held."""


class PlayedFolder:
    def __init__(self, pictures: list[Path], loop: bool) -> None:
        self._pictures, self._loop = pictures, loop

    def prepare(self) -> None:
        """It lies there."""

    def picture(self, number: int, at_s: float) -> bytes | None:  # noqa: ARG002 - one after the other
        count = len(self._pictures)
        if number >= count and not self._loop:
            raise Ended(count)
        return read(self._pictures[number % count])

    def close(self) -> None:
        """Nothing is held."""


class PlayedVideo:
    """Its frames one after the other, each one a frame of the camera, whatever rate it was taken at."""

    def __init__(self, path: Path, loop: bool) -> None:
        self._path, self._loop = path, loop
        capture = opened(str(path))
        if capture is None:
            raise CannotPlay(f"{path} cannot be read as a video, and is no JPEG, PNG or WebP picture")
        self._capture = capture
        self._passed = 0  # frames, over all rounds
        self._in_round = 0

    def prepare(self) -> None:
        """It is open."""

    def picture(self, number: int, at_s: float) -> bytes | None:  # noqa: ARG002 - one after the other
        while self._passed <= number:
            if not self._capture.grab():
                self._begin_again()
                continue
            self._passed += 1
            self._in_round += 1
        return grabbed(self._capture)

    def close(self) -> None:
        self._capture.release()

    def _begin_again(self) -> None:
        if not self._in_round:
            raise NoFootage(f"{self._path} holds no frame that can be decoded")
        if not self._loop:
            raise Ended(self._passed)
        self._capture.release()
        capture = opened(str(self._path))
        if capture is None:  # it is looked for again with the next frame
            raise NoFootage(f"{self._path} cannot be read any more")
        self._capture, self._in_round = capture, 0
