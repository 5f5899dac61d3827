"""Several instances of one model, threads in place of processes: who builds, who asks, and what goes wrong."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ai.core.errors import InvalidImage
from ai.core.geometry import Fit, fit
from ai.core.spec import DetectorSpec
from ai.triton.inside import gpu_sharing
from ai.triton.inside.gpu_sharing import Channel, Detects, Guest, Host, HostFailed, Place, joined
from ai.triton.inside.pipeline import Answer, Answered, Found, Outcome, finished
from ai.yolo26 import model

SPEC: DetectorSpec = model.detector().spec
PLACE: Fit = fit(SPEC.fit, 1280, 720, SPEC.input_width, SPEC.input_height)


@dataclass
class Network:
    """Sees in each picture one thing, whose class is its first byte; asked how often, and by how many at a time."""

    fails: BaseException | None = None
    batches: list[int] = field(default_factory=list)
    closed: bool = False
    together: threading.Barrier | None = None

    def answered(self, images: Any) -> Iterator[Answered]:
        if self.fails:
            raise self.fails
        if self.together:
            self.together.wait(10)
        self.batches.append(len(images))
        yield from (_answer(bytes(image)) for image in images)

    def detect(self, images: Any) -> list[Outcome]:
        return finished(self.answered(images), SPEC)

    def close(self) -> None:
        self.closed = True


def _answer(image: bytes) -> Answered:
    if not image:
        return InvalidImage("This is not a picture: it is empty.")
    raw = np.zeros((SPEC.max_detections, 6), np.float32)
    raw[0] = (100, 200, 300, 400, 0.5, image[0])
    return Answer(raw, PLACE)


LENGTHS = b"\1" + bytes(15)  # one byte of JSON, and nothing behind it


def classes(outcomes: list[Outcome]) -> list[int | str]:
    return [int(one.rows[0, 5]) if isinstance(one, Found) else str(one) for one in outcomes]


def place(number: int, of: int, name: str) -> Place:
    return Place(f"{name}_0_{number}", of - 1, ("/models", name, "1", "0"))


@dataclass
class Load:
    """One load of a model: its instances, begun at the same time."""

    instances: list[Detects]
    built: list[Network]

    @property
    def host(self) -> Host:
        [host] = [one for one in self.instances if isinstance(one, Host)]
        return host

    @property
    def guests(self) -> list[Guest]:
        return [one for one in self.instances if isinstance(one, Guest)]

    def close(self) -> None:
        for one in self.instances:
            one.close()


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Iterator[Callable[..., Load]]:
    loads: list[Load] = []

    def begin(count: int, network: Callable[[], Network] = Network) -> Load:
        built: list[Network] = []

        def build() -> Network:
            built.append(network())
            return built[-1]

        with ThreadPoolExecutor(count) as pool:
            begun = [
                pool.submit(joined, place(number, count, request.node.name), SPEC, build)
                for number in range(count)
            ]
            loads.append(Load([one.result(20) for one in begun], built))
        return loads[-1]

    yield begin
    for one in loads:
        one.close()


def test_one_of_them_builds_and_all_are_answered(load: Callable[..., Load]) -> None:
    four = load(4)
    assert len(four.built) == 1
    assert len(four.guests) == 3
    for number, instance in enumerate(four.instances):
        outcomes = instance.detect([bytes([number, 9]), b"", bytes([number + 1])])
        assert classes(outcomes) == [number, "This is not a picture: it is empty.", number + 1]
    own, guest = four.host.detect([b"\1"]), four.guests[0].detect([b"\1"])
    assert isinstance(own[0], Found)
    assert isinstance(guest[0], Found)
    assert own[0].rows.tolist() == guest[0].rows.tolist()
    assert (guest[0].width, guest[0].height) == (1280, 720)


def test_a_batch_without_one_good_picture_is_answered(load: Callable[..., Load]) -> None:
    assert classes(load(2).guests[0].detect([b"", b""])) == ["This is not a picture: it is empty."] * 2


def test_large_batches_go_whole(load: Callable[..., Load]) -> None:
    images = [bytes([number]) * 300_000 for number in range(64)]
    assert classes(load(2).guests[0].detect(images)) == list(range(64))


def test_an_instance_alone_builds_for_itself_and_listens_nowhere() -> None:
    network = Network()
    assert joined(place(0, 1, "alone"), SPEC, lambda: network) is network


def test_they_are_answered_at_the_same_time(load: Callable[..., Load]) -> None:
    """The barrier lets nobody through before all three are there."""
    three = load(3, lambda: Network(together=threading.Barrier(3)))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(one.detect, [bytes([number])]) for number, one in enumerate(three.instances)]
        assert [classes(one.result(15)) for one in asked] == [[0], [1], [2]]


def test_what_fails_in_the_host_fails_at_the_guest_who_may_ask_again(load: Callable[..., Load]) -> None:
    two = load(2)
    two.built[0].fails = RuntimeError("CUDA out of memory")
    with pytest.raises(HostFailed, match="RuntimeError: CUDA out of memory"):
        two.guests[0].detect([b"\1"])
    two.built[0].fails = None
    assert classes(two.guests[0].detect([b"\1"])) == [1]


def test_a_guest_whose_host_is_gone_says_so(load: Callable[..., Load]) -> None:
    two = load(2)
    two.host.close()
    assert two.built[0].closed
    for _ in range(2):
        with pytest.raises(HostFailed, match="is gone; the model has to be loaded anew"):
            two.guests[0].detect([b"\1"])


def test_a_host_goes_on_when_a_guest_goes(load: Callable[..., Load]) -> None:
    three = load(3)
    three.guests[0].close()
    assert classes(three.host.detect([b"\1"])) == [1]
    assert classes(three.guests[1].detect([b"\2"])) == [2]


@pytest.mark.parametrize("more", [0, 1], ids=["as many", "more instances"])
def test_a_model_that_is_loaded_anew_has_a_host_of_its_own(load: Callable[..., Load], more: int) -> None:
    """Triton ends the old one when the new one serves, so nobody of the new one may hang on to it."""
    old = load(2)
    new = load(2 + more)
    assert new.host is not old.host
    assert len(new.guests) == 1 + more
    old.close()
    for number, instance in enumerate(new.instances):
        assert classes(instance.detect([bytes([number])])) == [number]
    assert old.built[0].batches == []
    newest = load(2)
    new.close()
    assert classes(newest.guests[0].detect([b"\7"])) == [7]


def test_a_host_that_cannot_build_says_why_and_its_guests_do_not_wait(request: pytest.FixtureRequest) -> None:
    begun = threading.Event()

    def build() -> Network:
        begun.set()
        deadline.wait(10)
        raise FileNotFoundError("no weights")  # an OSError, as a name that is taken would be

    deadline = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        host = pool.submit(joined, place(0, 2, request.node.name), SPEC, build)
        assert begun.wait(10)
        guest = pool.submit(joined, place(1, 2, request.node.name), SPEC, build)
        threading.Timer(0.3, deadline.set).start()
        with pytest.raises(FileNotFoundError, match="no weights"):
            host.result(15)
        with pytest.raises(HostFailed, match="could not load the network"):
            guest.result(15)


def test_a_host_of_another_user_is_none(
    load: Callable[..., Load], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    load(2)
    monkeypatch.setattr(Channel, "is_ours", False)
    channel = gpu_sharing._connected(place(1, 2, request.node.name).address(0))
    assert channel is not None
    assert not channel.welcomed("somebody")


def test_a_guest_of_another_user_is_not_even_listened_to(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    mine = place(0, 2, request.node.name)
    with closing(joined(mine, SPEC, Network)):
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
        stranger = gpu_sharing._connected(mine.address(0))
        assert stranger is not None
        assert stranger.receive()[0] == {"welcome": False}
        monkeypatch.undo()
        guest = gpu_sharing._connected(mine.address(0))
        assert guest is not None
        assert guest.welcomed(place(1, 2, request.node.name).instance)


def test_a_host_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """It listens and says nothing; the model is loaded anew for that very reason."""
    monkeypatch.setattr(gpu_sharing, "HELLO_S", 0.2)
    mine, network = place(0, 2, request.node.name), Network()
    listener = gpu_sharing._listening(mine.address(0))
    assert listener is not None
    with closing(listener), closing(joined(mine, SPEC, lambda: network)) as instance:
        assert isinstance(instance, Host)
        assert classes(instance.detect([b"\4"])) == [4]


def test_where_all_names_are_taken_each_builds_for_itself(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, load: Callable[..., Load]
) -> None:
    monkeypatch.setattr(gpu_sharing, "LOADS", 1)
    load(2)
    network = Network()
    assert joined(place(0, 2, request.node.name), SPEC, lambda: network) is network


def test_who_says_nonsense_is_no_guest_and_disturbs_nobody(
    load: Callable[..., Load], request: pytest.FixtureRequest
) -> None:
    two = load(2)
    for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n", LENGTHS + b"{", LENGTHS + b"7", b"\1" + LENGTHS[1:9]):
        channel = gpu_sharing._connected(place(1, 2, request.node.name).address(0))
        assert channel is not None
        channel._connection.sendall(nonsense)
        channel.close()
    assert classes(two.guests[0].detect([b"\3"])) == [3]


ARGS = {
    "model_repository": "/models/yolo26_jpeg", "model_name": "yolo26_jpeg", "model_version": "1",
    "model_instance_name": "yolo26_jpeg_0_1", "model_instance_device_id": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "siblings"),
    [
        ([], 0),
        ([{"count": 1}], 0),
        ([{"count": 3}], 2),
        ([{"count": 2, "gpus": [0]}, {"count": 4, "gpus": [1, 2]}], 3),
        ([{"count": 2, "gpus": []}, {"count": 1, "gpus": ["1"]}], 2),
    ],
)
def test_siblings_are_those_on_the_same_gpu(groups: list[dict[str, Any]], siblings: int) -> None:
    assert Place.of(ARGS, groups).siblings == siblings


def test_servers_models_versions_and_gpus_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def address(**other: str) -> str:
        return Place.of({**ARGS, **other}, []).address(0)

    one = address()
    others = [
        address(model_name="rtdetr_jpeg"), address(model_version="2"), address(model_instance_device_id="0"),
        address(model_repository="/other"), Place.of(ARGS, []).address(1),
    ]  # fmt: skip
    monkeypatch.setattr(os, "getppid", lambda: 4_000_000)
    others.append(address())
    assert len({one, *others}) == 7
    assert one[0] == "\0"
    assert len(one) < 100
    monkeypatch.undo()
    assert address(model_instance_name="yolo26_jpeg_0_0") == one
