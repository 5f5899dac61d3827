"""Which cameras are played, and what they make of whatever a backend answers."""

import json

import pytest

from ai.demo.live import camera_names
from backend.cameras.answers import Answer, Failure
from backend.cameras.asking import HttpBackend
from backend.cameras.errors import CannotPlay
from backend.cameras.opening import Wanted, open_cameras
from backend.stack.backend_api import BackendApi
from tests.http_servers import hangs, hangs_up_after, raw_server, says

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
        (
            says(http(200, WELL.replace(b'"detections": []', b'"detections": [{"class": "cat"}]'))),
            "odd",
            None,
        ),
        (hangs_up_after(b""), "away", None),
        (hangs, "late", None),
    ],
)
async def test_whatever_a_backend_answers_is_a_failure_of_a_kind_and_no_error(behaviour, kind, retry_after_s):
    async with (
        raw_server(behaviour) as server,
        HttpBackend(BackendApi(server.url, None), patience_s=0.3) as backend,
    ):
        failure = await backend.detect(b"picture", "gate")

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after_s) == (kind, retry_after_s)


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
    assert opened(stream, count=3) == ["10.0.0.7/live", "10.0.0.7/live-2", "10.0.0.7/live-3"]


@pytest.mark.parametrize(
    ("sources", "count", "why"),
    [
        (("nowhere",), None, "nowhere: there is no such folder or file"),
        (("rtsp://a/1", "rtsp://a/2"), 1, "-n 1 is less than the 2 cameras"),
        ((__file__,), None, "cannot be read as a video"),
    ],
)
def test_what_cannot_be_played_is_said_before_anything_is(sources, count, why):
    with pytest.raises(CannotPlay, match=why):
        opened(*sources, count=count)
