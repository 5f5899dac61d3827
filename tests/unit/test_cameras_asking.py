"""Which cameras are played, and what they make of whatever a backend answers."""

import gzip
import json
import math
import os

import pytest

from ai.demo.live import camera_names
from backend.cameras.answers import Answer, Failure
from backend.cameras.asking import HttpBackend
from backend.cameras.errors import CannotPlay
from backend.cameras.opening import SCENES, Wanted, open_cameras
from backend.cameras.reading import MOST_DETECTIONS, MOST_REASON, outcome_of
from backend.stack.backend_api import BackendApi
from tests.http_servers import floods, hangs, hangs_up_after, raw_server, says

# --- what the backend says --------------------------------------------------------------------------------


def http(status, body=b"{}", **headers):
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


WELL = json.dumps(
    {"detections": [], "image": {"width": 8, "height": 6}, "served_by": {"backend": "triton"}}
).encode()


@pytest.mark.parametrize(
    ("behaviour", "kind", "retry_after_s"),
    [
        (says(http(503, b'{"detail": "full"}', Retry_After=7)), "busy", 7.0),
        (says(http(503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT")), "busy", None),
        (says(http(429)), "busy", None),
        (says(http(504)), "late", None),
        (says(http(401)), "refused", None),
        (says(http(422)), "refused", None),
        (says(http(500)), "odd", None),
        (says(http(200, b"<html>")), "odd", None),
        (says(http(200, b"[]")), "odd", None),
        (says(http(200, b'{"detections": []}')), "odd", None),
        (says(http(307, Location="http://127.0.0.1:9/")), "odd", None),
        (floods(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"x" * 65536), "odd", None),
        (says(http(422, b"[" * 100_000)), "refused", None),
        (says(http(503, Retry_After="9" * 400)), "busy", math.inf),
        (says(http(503, Retry_After="-1")), "busy", None),
        (hangs_up_after(b""), "away", None),
        (hangs, "late", None),
    ],
)
async def test_whatever_a_backend_answers_is_a_failure_of_a_kind_and_no_error(behaviour, kind, retry_after_s):
    async with (
        raw_server(behaviour) as server,
        HttpBackend(BackendApi(server.url, None), patience_s=0.5) as backend,
    ):
        failure = await backend.detect(b"picture", "gate")

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after_s) == (kind, retry_after_s)


SEEN = {"class": "cat", "class_id": 0, "confidence": 0.9, "bbox": {"x": 1, "y": 2.5, "width": 3, "height": 4}}


def said(content):
    return outcome_of(200, {}, content, 0.1)


def seen(**changes):
    return json.dumps({**json.loads(WELL), "detections": [{**SEEN, **changes}]}).encode()


def test_an_answer_is_one_of_crossfades_with_all_that_it_tells():
    """The control of what follows."""
    answered = said(seen(mask="yes"))

    assert isinstance(answered, Answer)
    assert answered.labels == ["cat"]
    assert answered.detections == [{**SEEN, "mask": "yes"}]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff\xfe",
        WELL.replace(b'"width": 8', b'"width": 0'),
        WELL.replace(b'"width": 8', b'"width": 1e999'),
        WELL.replace(b'"width": 8', b'"width": "8"'),
        WELL.replace(b"[]", b"{}"),
        WELL.replace(b"[]", b'""'),
        WELL.replace(b'"triton"', b'"triton", "bucket": NaN'),
        WELL.replace(b'"triton"', b'"triton", "bucket": 1e999'),
        WELL.replace(b'{"backend": "triton"}', b'["triton"]'),
        json.dumps({**json.loads(WELL), "detections": [SEEN] * (MOST_DETECTIONS + 1)}).encode(),
        json.dumps({**json.loads(WELL), "detections": [{"class": "cat"}]}).encode(),
        seen(confidence=math.nan),
        seen(confidence="high"),
        seen(class_id=-1),
        seen(class_id=None),
        seen(bbox=None),
        seen(bbox={**SEEN["bbox"], "x": 10**400}),
        seen(bbox={**SEEN["bbox"], "x": math.inf}),
        seen(bbox={**SEEN["bbox"], "width": -1}),
    ],
)
def test_what_only_looks_like_an_answer_is_odd_and_ends_nothing(content):
    """Of each of these somebody further on would have stumbled: the tracker, the counting, or who reads our JSON."""
    failure = said(content)

    assert isinstance(failure, Failure)
    assert failure.kind == "odd"


def test_a_reason_as_long_as_a_book_is_cut():
    failure = outcome_of(422, {}, json.dumps({"detail": "x" * 1_000_000}).encode(), 0.1)

    assert isinstance(failure, Failure)
    assert failure.reason == "x" * MOST_REASON


async def test_what_is_packed_is_not_unpacked_for_a_little_may_become_very_much():
    packed = http(200, gzip.compress(b" " * 50_000_000 + WELL), Content_Encoding="gzip")
    async with (
        raw_server(says(packed)) as server,
        HttpBackend(BackendApi(server.url, None)) as backend,
    ):
        failure = await backend.detect(b"picture", "gate")

    assert isinstance(failure, Failure)
    assert failure.kind == "odd"
    assert b"accept-encoding: identity" in server.head.lower()


async def test_a_backend_is_asked_with_the_key_the_camera_the_detector_and_the_confidence():
    async with (
        raw_server(says(http(200, WELL))) as server,
        HttpBackend(BackendApi(server.url, "secret"), "yolo26", 0.2) as backend,
    ):
        answered = await backend.detect(b"picture", "gate & yard")

    assert isinstance(answered, Answer)
    assert answered.side == "triton"
    assert server.body == b"picture"
    head = server.head.decode()
    assert "x-api-key: secret" in head.lower()
    for word in ("detector=yolo26", "min_confidence=0.2", "camera=gate"):
        assert word in head.partition("\r\n")[0]


async def test_nobody_there_is_away():
    async with HttpBackend(BackendApi("http://127.0.0.1:9", None)) as backend:
        failure = await backend.detect(b"picture", "gate")

    assert isinstance(failure, Failure)
    assert failure.kind == "away"


# --- which cameras ----------------------------------------------------------------------------------------


def opened(*sources, **wanted):
    return [camera.name for camera in open_cameras(Wanted(sources=sources, **wanted), lambda *_: None)]


def test_as_many_drawn_cameras_as_are_wanted_each_with_a_name_of_its_own():
    assert opened() == ["gate", "yard", "road", "park"]
    assert opened(count=2) == ["gate", "yard"]
    names = camera_names(100)
    assert len(set(names)) == 100
    assert names[8:10] == ["gate-2", "yard-2"]


def test_many_drawn_cameras_share_a_few_painted_scenes_and_see_them_at_other_times():
    """A scene costs some megabytes and a third of a second."""
    cameras = open_cameras(Wanted(count=1000), lambda *_: None)

    assert len({id(camera.source._scene) for camera in cameras}) == SCENES
    assert len({(id(camera.source._scene), camera.source._ahead_s) for camera in cameras}) == 1000


def test_a_folder_is_a_camera_and_one_of_folders_is_as_many(tmp_path):
    for name in ("gate", "yard"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "1.jpg").write_bytes(b"picture")

    assert opened(str(tmp_path / "all")) == ["gate", "yard"]
    assert opened(str(tmp_path / "all" / "yard")) == ["yard"]
    assert opened(str(tmp_path / "all" / "yard" / "1.jpg")) == ["1"]


def test_sources_have_the_name_that_is_given_or_their_own_and_never_the_same_twice(tmp_path):
    stream = "rtsp://me:password@10.0.0.7/live"

    assert opened(f"yard={stream}", stream, stream) == ["yard", "10.0.0.7/live", "10.0.0.7/live-2"]
    assert opened("gate=http://10.0.0.7/a?b=c") == ["gate"]
    assert opened(f"Küche, 1. Stock!={stream}") == ["Küche, 1. Stock!"]
    assert opened(stream, count=3) == ["10.0.0.7/live", "10.0.0.7/live-2", "10.0.0.7/live-3"]


def test_a_camera_has_no_name_that_a_backend_would_refuse(tmp_path):
    for name in ("ev\nil\x1b[2J", os.fsdecode(b"a\xff"), "n" * 200):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"picture")

    names = opened(str(tmp_path))

    assert sorted(names) == ["a_", "ev_il_[2J", "n" * 64]
    assert all(name.isprintable() and name.encode() for name in names)


@pytest.mark.parametrize(
    "source",
    [
        "rstp://me:secret@10.0.0.7/live",
        "me:secret@10.0.0.7/live",
        "yard=me:secret@10.0.0.7/live",
        "rtsp:/me:secret@10.0.0.7/live",
        "a/b=rstp://me:secret@10.0.0.7/live",
        f"me:secret@10.0.0.7/{'x' * 300}",
    ],
)
def test_a_slip_in_an_address_does_not_show_its_password(source):
    with pytest.raises(CannotPlay) as said:
        opened(source)

    assert "10.0.0.7" in str(said.value)
    assert "secret" not in str(said.value)


@pytest.mark.parametrize(
    ("sources", "count", "why"),
    [
        (("",), None, "an empty --source"),
        (("x" * 300,), None, "x: there is no such folder or file"),
        (("nowhere",), None, "nowhere: there is no such folder or file"),
        (("rtsp://a/1", "rtsp://a/2"), 1, "-n 1 is less than the 2 cameras"),
        ((__file__,), None, "cannot be read as a video"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_is(sources, count, why):
    with pytest.raises(CannotPlay, match=why):
        opened(*sources, count=count)
