"""Somebody's own footage, a picture at a time: a folder of pictures, a video file or a camera's stream.

Everything here waits for disks and networks, so it runs in a thread. Pictures of a folder travel as they lie;
frames of a video are encoded as JPEG. A stream is read as it comes: what nobody has room for is skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import cv2
import simplejpeg

from ai.core.errors import CrossfadeError
from ai.core.header import MAX_IMAGE_BYTES

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
STREAMS = frozenset({"rtsp", "rtsps", "http", "https"})
STREAM_PATIENCE_S = 10.0  # for a stream to open, and for each of its frames
JPEG_QUALITY = 95

_ENDS_OF_HOST = re.compile(r"[/?#\\]")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")  # no = ; & nor anything that is escaped

HasRoom = Callable[[], bool]


class NoFootage(CrossfadeError):
    """A sentence: what is missing, and what would help."""


@dataclass(frozen=True, slots=True)
class Frame:
    number: int
    camera: str
    image: bytes  # encoded


class Footage(Protocol):
    name: str  # for the report: without passwords
    count: int | None  # of frames, where it is known

    def frames(self, has_room: HasRoom) -> Iterator[Frame]:
        """NoFootage where there is none. `has_room` is for what does not wait."""


def open_footage(source: str, limit: int, every: int = 1) -> Footage:
    """Every `every`-th frame, up to `limit` of them."""
    if source.partition("://")[0].lower() in STREAMS:
        return Stream(source, limit, every)
    path = Path(source).expanduser()
    if path.is_dir():
        return Pictures(path, pictures_below(path), limit, every)
    if not path.exists():
        raise NoFootage(
            f"{without_secrets(source)}: there is no such folder or file, and it is no rtsp:// or http:// address"
        )
    if path.suffix.lower() in PICTURES:
        return Pictures(path.parent, [path], limit, every)
    return Video(path, limit, every)


class Pictures:
    """A camera is a folder: those directly in the source belong to the source's own name."""

    def __init__(self, folder: Path, paths: list[Path], limit: int, every: int) -> None:
        if not paths:
            raise NoFootage(f"{folder} holds no JPEG, PNG or WebP pictures, nor do the folders in it")
        self.name = str(folder)
        self._folder = folder
        self._paths = paths[::every][:limit]
        self.count: int | None = len(self._paths)

    def frames(self, has_room: HasRoom) -> Iterator[Frame]:  # noqa: ARG002 - files wait
        for number, path in enumerate(self._paths):
            yield Frame(number, self._camera(path), read(path))

    def _camera(self, path: Path) -> str:
        below = path.parent.relative_to(self._folder).as_posix()
        return self._folder.resolve().name if below == "." else below


class Video:
    def __init__(self, path: Path, limit: int, every: int) -> None:
        self.name = str(path)
        self._path, self._limit, self._every = path, limit, every
        capture = opened(str(path))
        if capture is None:
            raise NoFootage(f"{path} cannot be read as a video, and is no JPEG, PNG or WebP picture")
        told = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))  # some files say nothing, or nonsense
        capture.release()
        self.count: int | None = min(limit, -(-told // every)) if told > 0 else None

    def frames(self, has_room: HasRoom) -> Iterator[Frame]:  # noqa: ARG002 - files wait
        capture = opened(str(self._path))
        if capture is None:
            raise NoFootage(f"{self._path} cannot be read any more")
        found = _taken(capture, self._path.stem, self._every, lambda: True)
        empty = True
        for frame in islice(found, self._limit):
            empty = False
            yield frame
        if empty:
            raise NoFootage(f"{self._path} holds no frame that can be decoded")


class Stream:
    def __init__(self, url: str, limit: int, every: int) -> None:
        self.name = without_secrets(url)
        self.count: int | None = limit
        self._url, self._limit, self._every = url, limit, every

    def frames(self, has_room: HasRoom) -> Iterator[Frame]:
        patience_ms = round(1000 * STREAM_PATIENCE_S)
        capture = opened(self._url, [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience_ms,
        ])  # fmt: skip
        if capture is None:
            raise NoFootage(
                f"{self.name} did not open as a stream within {STREAM_PATIENCE_S:g} s: is the address right, and the "
                "camera on?"
            )
        empty = True
        for frame in islice(_taken(capture, self.name, self._every, has_room), self._limit):
            empty = False
            yield frame
        if empty:
            raise NoFootage(f"{self.name} opened, and gave no picture within {STREAM_PATIENCE_S:g} s")


def without_secrets(url: str) -> str:
    """Cameras carry their password in the address, before the host, in the path or behind it; a report is shown around.

    Of the path only its end is kept, where all of it are plain names. What could be read in two ways is left out as a
    whole: an @ behind a slash may be the end of a password.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:  # a file, or an address without its beginning
        return f"…@{url.rpartition('@')[2]}" if "@" in url else url
    authority, *path = _ENDS_OF_HOST.split(rest)
    host = authority.rpartition("@")[2]
    if not _HOST.fullmatch(host) or any("@" in part for part in path):
        return f"{scheme}://…"
    names = [name for name in re.split("[?#]", rest)[0].split("/")[1:] if name]
    plain = names and all(map(_PLAIN.fullmatch, names))
    return f"{scheme}://{host}" + (f"/{names[-1]}" if plain else "")


def pictures_below(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    shown = [
        path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(shown)


def read(path: Path) -> bytes:
    """No more than either side would take: both refuse what is larger, and say so."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise NoFootage(f"{path} cannot be read: {error.strerror}") from error


def opened(target: str, options: list[int] | None = None) -> cv2.VideoCapture | None:
    _hush()
    try:
        capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, options or [])
    except cv2.error:
        return None
    if not capture.isOpened():
        return None
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # telephones film as they are held, and note how
    return capture


def _hush() -> None:
    """What OpenCV and FFmpeg say of a stream would stand in the middle of our lines; what matters we say ourselves."""
    cv2.setLogLevel(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # noqa: TID251 - "quiet"; there is no other way to tell it


def _taken(capture: cv2.VideoCapture, camera: str, every: int, has_room: HasRoom) -> Iterator[Frame]:
    """Each frame is passed by; only those that are wanted become a picture."""
    passed = taken = 0
    try:
        while capture.grab():
            passed += 1
            if (passed - 1) % every or not has_room():
                continue
            if (picture := grabbed(capture)) is not None:
                yield Frame(taken, camera, picture)
                taken += 1
    finally:
        capture.release()


def grabbed(capture: cv2.VideoCapture) -> bytes | None:
    """Of the frame that was grabbed; None where it is spoilt, or larger than a picture can be."""
    try:
        well, pixels = capture.retrieve()
        return encoded(pixels) if well else None
    except (cv2.error, ValueError):
        return None


def encoded(pixels: cv2.typing.MatLike) -> bytes:
    whole = pixels if pixels.flags.c_contiguous else pixels.copy()
    return simplejpeg.encode_jpeg(whole, JPEG_QUALITY, "BGR", "420")  # type: ignore[no-any-return]
