"""Footage of a camera's stream: what is skipped, what of its address is shown."""

import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from backend.footage import grabbed, open_footage, without_secrets
from tests.mjpeg_camera import mjpeg_camera


def test_a_stream_skips_what_there_is_no_room_for():
    with mjpeg_camera() as camera:
        answers = iter([True, False, False, True])
        found = [frame.number for frame in open_footage(camera.url, 2).frames(lambda: next(answers))]

    assert found == [0, 1]
    assert len(camera.sent) >= 4


def test_the_library_that_reads_a_stream_says_nothing_of_it_in_the_middle_of_our_lines():
    """It speaks when a stream breaks off; and listens to what it is told only before its first."""
    play = (
        "import sys; from backend.footage import opened; s = opened(sys.argv[1]); print(s.grab(), flush=True)\n"
        "while s.grab(): pass"
    )
    with mjpeg_camera() as camera, subprocess.Popen(
        [sys.executable, "-c", play, camera.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:  # fmt: skip
        assert reader.stdout.readline() == "True\n"
        camera.plugged_in = False
        _, said = reader.communicate(timeout=60)

    assert said == ""


def test_a_film_that_was_taken_with_the_telephone_on_its_side_is_shown_upright(tmp_path):
    path = tmp_path / "walk.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 32))
    writer.write(np.zeros((32, 64, 3), np.uint8))
    writer.release()
    lying, turned = (
        struct.pack(">9i", *matrix)  # of the track's header: ISO/IEC 14496-12, 8.3.2
        for matrix in (
            (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30),
            (0, 1 << 16, 0, -1 << 16, 0, 0, 32 << 16, 0, 1 << 30),
        )
    )
    film = path.read_bytes()
    header = film.index(b"tkhd")

    assert shape(path) == (32, 64, 3)
    path.write_bytes(film[:header] + film[header:].replace(lying, turned, 1))
    assert shape(path) == (64, 32, 3)


def shape(path):
    [frame] = open_footage(str(path), 1).frames(lambda: True)
    return simplejpeg.decode_jpeg(frame.image).shape


def test_a_frame_that_makes_no_picture_is_passed_by():
    class Capture:
        def retrieve(self):
            return next(frames)

    def spoilt():
        yield True, np.zeros((1, 65_501, 3), np.uint8)  # one more than a JPEG may have
        yield False, None
        raise cv2.error("no memory")

    frames = spoilt()
    assert [grabbed(Capture()) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:pw@10.0.0.7:554/live?token=x", "rtsp://10.0.0.7:554/live"),
        ("rtsp://10.0.0.7/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp?real", "rtsp://10.0.0.7"),
        ("rtsp://10.0.0.7:554/cam/realmonitor;password=abc", "rtsp://10.0.0.7:554"),
        ("rtsp://10.0.0.7/user%3Dme%26password%3Dabc", "rtsp://10.0.0.7"),
        ("rtsp://[fe80::7]:554/Streaming/Channels/101/", "rtsp://[fe80::7]:554/101"),
        ("rtsp://10.0.0.7", "rtsp://10.0.0.7"),
        ("rtsp://u:p/w@host/", "rtsp://…"),
        ("rtsp://[", "rtsp://…"),
        ("rtsp://10.0.0.7/cam;user=me&password=a/secret/", "rtsp://10.0.0.7"),
        ("rtsp://10.0.0.7//live//", "rtsp://10.0.0.7/live"),
        ("me:pw@10.0.0.7/live", "…@10.0.0.7/live"),
        ("recordings/gate", "recordings/gate"),
    ],
)
def test_of_a_cameras_address_a_report_shows_the_host_and_a_plain_end(url, shown):
    assert without_secrets(url) == shown


WORDS = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), min_size=1, max_size=12)


@given(user=WORDS, password=WORDS, host=st.sampled_from(["10.0.0.7:554", "[fe80::7]", "cam.example"]))
def test_a_cameras_password_never_reaches_a_report(user, password, host):
    """However odd it is, and whether the address is right or not; marks tell it from what is there anyway."""
    user, password = f"{user}ZUSERZ{user}", f"{password}ZPASSZ{password}"
    for url in (
        f"rtsp://{user}:{password}@{host}/live",
        f"rtsp://{host}/user={user}_password={password}_channel=1.sdp",
        f"rtsp://{host}/cam;user={user}&password={password}",
        f"rtsp://{host}/live?user={user}&password={password}",
    ):
        shown = without_secrets(url)
        assert "ZUSERZ" not in shown, (url, shown)
        assert "ZPASSZ" not in shown, (url, shown)
