"""Which cameras are played: as many drawn ones as are wanted, or those of the sources that are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ai.demo.live import LiveScene, camera_names
from backend.cameras.errors import CannotPlay
from backend.cameras.sources import Drawn, PlayedFolder, PlayedVideo, Source
from backend.cameras.stream import LiveStream
from backend.cameras.tracking import Tracker
from backend.footage import PICTURES, STREAMS, pictures_below, without_secrets

DRAWN_CAMERAS = 4
LONGEST_NAME = 64
SCENES = 12  # that are painted; more cameras than that see one of them at another time
APART_S = 7.0

_NAMED = re.compile(r"([^=/:]{1,64})=(.+)", re.DOTALL)

Make = Callable[[str], Source]  # of the camera's name
TellOf = Callable[[str, str], None]  # a camera, and what happened to it


@dataclass(frozen=True)
class Camera:
    name: str
    source: Source
    fps: float
    tracker: Tracker | None = None


@dataclass(frozen=True)
class Wanted:
    """What is to be played, in words."""

    count: int | None = None  # None: each source once, or DRAWN_CAMERAS
    sources: Sequence[str] = ()  # [NAME=]address, file or folder
    fps: float = 5.0
    loop: bool = False
    track: bool = False


def open_cameras(wanted: Wanted, tell: TellOf) -> list[Camera]:
    """CannotPlay where a source is not there. `tell` hears of streams that are lost and come back."""
    return [
        Camera(name, make(name), wanted.fps, Tracker(name, wanted.fps) if wanted.track else None)
        for name, make in _chosen(wanted, tell)
    ]


def drawn_cameras(count: int, fps: float, track: bool = False) -> list[Camera]:
    return open_cameras(Wanted(count, fps=fps, track=track), lambda *_: None)


def _chosen(wanted: Wanted, tell: TellOf) -> list[tuple[str, Make]]:
    if not wanted.sources:
        names = camera_names(wanted.count or DRAWN_CAMERAS)
        scenes = [LiveScene(index) for index in range(min(len(names), SCENES))]
        return [(name, _drawn(scenes, index)) for index, name in enumerate(names)]
    found = [one for source in wanted.sources for one in _named(source, wanted, tell)]
    count = wanted.count or len(found)
    if count < len(found):
        raise CannotPlay(f"-n {count} is less than the {len(found)} cameras that the sources hold")
    return _without_twins([found[index % len(found)] for index in range(count)])


def _drawn(scenes: Sequence[LiveScene], index: int) -> Make:
    again, scene = divmod(index, SCENES)
    return lambda _: Drawn(scenes[scene], again * APART_S)


def _named(text: str, wanted: Wanted, tell: TellOf) -> Iterator[tuple[str, Make]]:
    named = None if _is_there(Path(text)) else _NAMED.fullmatch(text)
    name, source = named.groups() if named else (None, text)
    for own_name, make in _opened(source, wanted, tell):
        yield _plain(name or own_name)[:LONGEST_NAME], make


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have, or a folder that we may not look into
        return False


def _plain(name: str) -> str:
    """Of folders and files; what cannot be printed the backend refuses."""
    return "".join(sign if sign.isprintable() else "_" for sign in name) or "camera"


def _opened(source: str, wanted: Wanted, tell: TellOf) -> Iterator[tuple[str, Make]]:
    """With the name that it has of its own."""
    scheme, mark, rest = without_secrets(source).partition("://")
    if mark and scheme.lower() in STREAMS:
        yield rest, lambda camera: LiveStream(source, wanted.fps, lambda words: tell(camera, words))
        return
    path = Path(source).expanduser()
    if not source or not _is_there(path):
        raise CannotPlay(
            f"{without_secrets(source) or 'an empty --source'}: there is no such folder or file, and it is no rtsp:// "
            "or http:// address"
        )
    if path.is_dir():
        yield from _folders(path, wanted.loop)
    elif path.suffix.lower() in PICTURES:
        yield path.stem, lambda _: PlayedFolder([path], wanted.loop)
    else:
        yield path.stem, lambda _: PlayedVideo(path, wanted.loop)


def _folders(folder: Path, loop: bool) -> Iterator[tuple[str, Make]]:
    """A camera for each folder that holds pictures itself."""
    pictures = pictures_below(folder)
    if not pictures:
        raise CannotPlay(f"{folder} holds no JPEG, PNG or WebP pictures, nor do the folders in it")
    for place, paths in groupby(pictures, key=lambda path: path.parent):
        yield place.resolve().name, _folder(list(paths), loop)


def _folder(pictures: list[Path], loop: bool) -> Make:
    return lambda _: PlayedFolder(pictures, loop)


def _without_twins(found: Sequence[tuple[str, Make]]) -> list[tuple[str, Make]]:
    """gate, gate-2, …: ids, figures and the backend's report are by name."""
    seen: Counter[str] = Counter()
    taken = {name for name, _ in found}
    told = []
    for name, make in found:
        seen[name] += 1
        own = name
        while seen[name] > 1 and (own := f"{name}-{seen[name]}") in taken:
            seen[name] += 1
        taken.add(own)
        told.append((own, make))
    return told
