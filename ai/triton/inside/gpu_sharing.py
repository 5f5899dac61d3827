"""All instances of a model on one GPU in one process there: the first has the network, the others hand it pictures.

Triton runs each instance in a process of its own. Processes take turns on a GPU, and while one's network has it
another's decoder waits; threads of one process are there at the same time. So the first instance is the host, and
the others are its guests: what stays with them is taking requests, finishing rows and answering.

They find each other by a name that says which server, model, version and GPU it is. It lies in Linux' abstract
namespace, so nothing is left behind when a process is killed. Triton loads a model anew before it ends the old one:
a host takes as many guests as it has siblings, each once, so those of another load find none but their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ai.core.errors import InvalidImage
from ai.core.geometry import Fit
from ai.core.header import Bytes
from ai.core.spec import DetectorSpec
from ai.triton.inside.pipeline import Answer, Answered, Outcome, finished

LOADS = 16  # of one version that may live side by side: Triton has two while it loads one anew
AGAIN_S = 0.02
HELLO_S = 5.0  # until a host says whether a guest is welcome, which it does from its first moment
MOST_BYTES = 2**32  # of a message: more than a batch of the largest pictures
_LENGTHS = struct.Struct("<QQ")
_PEER = struct.Struct("3i")  # process, user, group


class Detects(Protocol):
    def detect(self, images: Sequence[Bytes]) -> list[Outcome]: ...

    def close(self) -> None: ...


class Answers(Detects, Protocol):
    def answered(self, images: Sequence[Bytes]) -> Iterable[Answered]: ...


class HostFailed(RuntimeError):
    """The process that has the GPU could not, or is gone."""


@dataclass(frozen=True, slots=True)
class Place:
    """One of the instances of a version on a GPU."""

    instance: str
    siblings: int
    about: tuple[str, ...]  # the model, its version, the GPU

    @classmethod
    def of(cls, args: Mapping[str, str], groups: Sequence[Mapping[str, Any]]) -> Place:
        """From what Triton tells an instance."""
        gpu = args["model_instance_device_id"]
        here = sum(int(one.get("count", 1)) for one in groups if gpu in map(str, one.get("gpus") or [gpu]))
        about = (args["model_repository"], args["model_name"], args["model_version"], gpu)
        return cls(args["model_instance_name"], max(0, here - 1), about)

    def address(self, load: int) -> str:
        """Processes may have the same number in two containers that share a network, so their namespace counts too."""
        server = (str(Path("/proc/self/ns/pid").stat().st_ino), str(os.getppid()))
        digest = hashlib.sha256("\n".join((*server, *self.about)).encode()).hexdigest()
        return f"\0crossfade-gpu-{digest[:32]}-{load}"


def joined(place: Place, spec: DetectorSpec, build: Callable[[], Answers]) -> Detects:
    """The pipeline that `build` makes, or one that asks the instance that has made it."""
    while place.siblings:
        free = []
        for load in range(LOADS):
            channel = _connected(place.address(load))
            if channel is None:
                free.append(load)
            elif channel.welcomed(place.instance):
                return Guest(channel, spec)
        if not free:
            break
        if listener := _listening(place.address(free[0])):
            return Host(listener, place, build)
        time.sleep(AGAIN_S)  # another instance was quicker: it is asked now
    return build()


class Host:
    """Has the pipeline, and asks it for the guests too, each in a thread of its own."""

    def __init__(self, listener: socket.socket, place: Place, build: Callable[[], Answers]) -> None:
        self._listener, self._place = listener, place
        self._guests: dict[str, Channel] = {}
        self._admitting = threading.Lock()
        self._pipeline: Future[Answers] = Future()
        threading.Thread(target=self._accept, name="guests", daemon=True).start()
        try:
            self._pipeline.set_result(build())
        except BaseException:
            self._pipeline.cancel()
            self._end()
            raise

    def detect(self, images: Sequence[Bytes]) -> list[Outcome]:
        return self._pipeline.result().detect(images)

    def close(self) -> None:
        self._end()
        self._pipeline.result().close()

    def _end(self) -> None:
        _shut(self._listener)
        for channel in list(self._guests.values()):
            channel.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(Channel(connection),), daemon=True).start()

    def _serve(self, channel: Channel) -> None:
        with suppress(
            OSError, ValueError, CancelledError
        ):  # it is gone, was no guest, or there is no network
            welcome = channel.is_ours and self._takes(str(channel.receive()[0].get("instance")), channel)
            channel.send({"welcome": welcome})
            if welcome:
                pipeline = self._pipeline.result()
                channel.send({"ready": True})
                self._answer(channel, pipeline)
        channel.close()

    def _takes(self, name: str, channel: Channel) -> bool:
        """Each once, and no more than there are: any other is of another load."""
        with self._admitting:
            if name in {self._place.instance, *self._guests} or len(self._guests) >= self._place.siblings:
                return False
            self._guests[name] = channel
            return True

    @staticmethod
    def _answer(channel: Channel, pipeline: Answers) -> None:
        while True:
            header, content = channel.receive()
            try:
                answered = list(pipeline.answered(_split(content, header["lengths"])))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the guest's to say
                channel.send({"error": f"{type(error).__name__}: {error}"})
            else:
                channel.send(*_packed(answered))


class Guest:
    def __init__(self, channel: Channel, spec: DetectorSpec) -> None:
        self._channel, self._spec = channel, spec

    def detect(self, images: Sequence[Bytes]) -> list[Outcome]:
        try:
            self._channel.send({"lengths": [len(image) for image in images]}, *images)
            header, content = self._channel.receive()
        except OSError as error:
            raise HostFailed(
                "the instance that has the GPU is gone; the model has to be loaded anew"
            ) from error
        if "error" in header:
            raise HostFailed(f"the instance that has the GPU says: {header['error']}")
        return finished(_unpacked(header, content), self._spec)

    def close(self) -> None:
        self._channel.close()


class Channel:
    """Messages between two processes: a JSON object, and bytes behind it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @property
    def is_ours(self) -> bool:
        """Whether who is at the other end is the same user: everybody may use a name of that namespace."""
        said = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        return bool(_PEER.unpack(said)[1] == os.getuid())

    def welcomed(self, instance: str) -> bool:
        """As a guest, which then waits until the host can answer."""
        try:
            if self.is_ours:
                self._connection.settimeout(HELLO_S)
                self.send({"instance": instance})
                if self.receive()[0].get("welcome"):
                    self._connection.settimeout(None)
                    self._wait()
                    return True
        except (OSError, ValueError):
            pass  # it is just ending, or hangs
        self.close()
        return False

    def _wait(self) -> None:
        try:
            self.receive()
        except OSError as error:
            raise HostFailed("the instance that was to have the GPU could not load the network") from error

    def send(self, header: Mapping[str, Any], *parts: Bytes) -> None:
        said = json.dumps(header).encode()
        lengths = _LENGTHS.pack(len(said), sum(len(part) for part in parts))
        self._connection.sendall(b"".join((lengths, said, *parts)))

    def receive(self) -> tuple[dict[str, Any], memoryview]:
        header, content = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if max(header, content) > MOST_BYTES:
            raise ValueError("this is no message of ours")
        said = json.loads(bytes(self._exactly(header)))
        if not isinstance(said, dict):
            raise ValueError("this is no message of ours")
        return said, self._exactly(content)

    def _exactly(self, count: int) -> memoryview:
        content = memoryview(bytearray(count))
        at = 0
        while at < count:
            came = self._connection.recv_into(content[at:])
            if not came:
                raise ConnectionResetError("the other end is closed")
            at += came
        return content

    def close(self) -> None:
        _shut(self._connection)


def _connected(address: str) -> Channel | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:  # nobody is there
        connection.close()
        return None
    return Channel(connection)


def _listening(address: str) -> socket.socket | None:
    """None where somebody else does already."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener


def _shut(one: socket.socket) -> None:
    """Also for a thread that waits in it."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _split(content: memoryview, lengths: Sequence[int]) -> list[memoryview]:
    ends = np.cumsum(lengths)
    return [content[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]


def _packed(answered: Sequence[Answered]) -> tuple[dict[str, Any], bytes]:
    """What the network said of all good pictures in one piece; all its answers have one shape."""
    raws = [one.raw for one in answered if isinstance(one, Answer)]
    said = [str(one) if isinstance(one, InvalidImage) else astuple(one.fit) for one in answered]
    of_each = {"shape": list(raws[0].shape), "type": raws[0].dtype.str} if raws else {}
    return {"said": said, **of_each}, b"".join(raw.tobytes() for raw in raws)


def _unpacked(header: Mapping[str, Any], content: memoryview) -> list[Answered]:
    raws = iter(np.frombuffer(content, header["type"]).reshape(-1, *header["shape"]) if content else ())
    return [
        InvalidImage(one) if isinstance(one, str) else Answer(next(raws), Fit(*one)) for one in header["said"]
    ]
