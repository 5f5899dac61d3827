"""crossfade cameras against a real backend over real sides, one that dies, and one that is slow."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from backend import cli
from backend.cameras.answers import Answer
from backend.cameras.asking import HttpBackend
from backend.cameras.opening import Camera, Wanted, open_cameras
from backend.cameras.player import play
from backend.cameras.playing import Shown
from backend.stack.backend_api import BackendApi
from tests import pictures
from tests.backends import Backend, running_backend
from tests.camera_parts import Pictures
from tests.http_servers import serving_app, until
from tests.legacy_process import legacy_process

pytestmark = pytest.mark.beside


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """Only legacy serves: in everything it sees one dog, where it always is."""
    with legacy_process() as legacy, running_backend(legacy=legacy, TRITON_ENABLED="false") as backend:
        yield backend


@pytest.fixture
def cameras(tmp_path, monkeypatch, capfd):
    """The command in this process: its exit status, what it said, and what it complained of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_VAR", str(tmp_path / "var"))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["cameras", *map(str, words)])
        said = capfd.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def door(tmp_path):
    """A camera that always shows the same: nobody paints for it."""
    path = tmp_path / "door.jpg"
    path.write_bytes(pictures.jpeg())
    return "--source", path, "--loop"


def documents(out):
    return [json.loads(line) for line in out.splitlines()]


# --- the command, against a real backend ------------------------------------------------------------------


def test_drawn_cameras_are_played_and_a_program_reads_every_frame_with_its_ids(backend, cameras):
    status, out, err = cameras(
        "-n", 2, "--fps", 10, "--seconds", 1, "--track", "--json", "--url", backend.url
    )

    assert (status, err) == (0, "")
    *lines, end = documents(out)
    answered = [line for line in lines if line["event"] == "frame"]
    assert {line["camera"] for line in answered} == {"gate", "yard"}
    for line in answered:
        assert [found["track"] for found in line["detections"]] == [f"{line['camera']}-1"]
        assert line["served_by"]["backend"] == "legacy"
        assert line["image"] == {"width": 960, "height": 540}
    told = Counter(line["camera"] for line in answered)
    for one in end["cameras"]:
        assert one["due"] == 10
        assert one["due"] == one["sent"] + one["dropped"]
        assert one["answered"] == told[one["camera"]] == one["found"]["dog"]
        assert (one["tracks"], one["no_picture"], one["by_side"]) == (1, 0, {"legacy": one["answered"]})
        assert 0 < one["p50_ms"] <= one["p95_ms"]
    assert end["total"]["cameras"] == 2


def test_people_see_a_line_meanwhile_and_a_table_at_the_end(backend, cameras, door):
    status, out, err = cameras(*door, "-n", 2, "--fps", 10, "--frames", 5, "--url", backend.url)

    assert status == 0
    assert "2 cameras | " in err
    assert "Triton 0% | 0 failed | sees 2 dog" in err
    head, *rows = out.splitlines()
    assert head.split() == "camera due sent answered dropped failed p50 ms p95 ms by Triton found".split()  # noqa: SIM905
    assert [row.split()[:2] for row in rows] == [["door", "5"], ["door-2", "5"]]


def test_a_backend_that_was_never_reached_has_a_status_of_its_own(cameras, door):
    status, _, err = cameras(*door, "--frames", 2, "--url", "http://127.0.0.1:9")

    assert status == 3
    assert "door: away: ConnectError" in err
    assert "the backend was never reached; `crossfade up` starts it" in err


def test_frames_that_a_backend_refuses_are_no_answers(backend, cameras, door):
    status, _, err = cameras(*door, "--frames", 2, "--detector", "nobody", "--url", backend.url)

    assert status == 4
    assert "refused: There is no detector 'nobody'" in err


def test_a_stream_that_never_opens_is_no_fault_of_the_backend(backend, cameras, monkeypatch):
    status, out, err = cameras(
        "--source", "gate=http://me:secret@127.0.0.1:9/live", "--fps", 10, "--frames", 3, "--url", backend.url
    )

    assert status == 1
    assert "no camera ever gave a picture" in err
    assert "did not open as a stream" in err
    assert "secret" not in out + err


def test_lines_that_a_full_disk_does_not_take_are_no_success(backend, door, tmp_path):
    words = ["cameras", *map(str, door), "--url", backend.url, "--json"]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-m", "backend.cli", *words], stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "CROSSFADE_VAR": str(tmp_path)}, timeout=60, check=False,
        )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (1, "crossfade: No space left on device\n")


def test_ctrl_c_ends_it_with_the_table_of_what_there_was(backend, door, tmp_path):
    words = ["cameras", *map(str, door), "--url", backend.url, "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "backend.cli", *words], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "CROSSFADE_VAR": str(tmp_path)},
    ) as process:  # fmt: skip
        assert json.loads(process.stdout.readline())["event"] == "frame"
        process.send_signal(signal.SIGINT)
        rest = documents(process.stdout.read())

    assert process.returncode == 0
    assert rest[-1]["event"] == "end"
    assert rest[-1]["total"]["answered"] == len(rest)  # the first one is read already, the last is the end


# --- a backend that dies and comes back -------------------------------------------------------------------


async def test_cameras_outlive_their_backend_and_count_what_it_missed(backend, door):
    heard: list[Shown] = []
    stop = asyncio.Event()
    cameras = open_cameras(Wanted(sources=(str(door[1]),), fps=10, loop=True), lambda *_: None)

    def kinds():
        return ["well" if isinstance(one.outcome, Answer) else one.outcome.kind for one in heard]

    async with HttpBackend(BackendApi(backend.url, None)) as asked:
        playing = asyncio.create_task(play(cameras, asked, hear=heard.append, stop=stop))
        await until(lambda: kinds().count("well") >= 4, "nobody ever answered")
        backend.kill()
        await until(lambda: "away" in kinds(), "nobody noticed")
        await asyncio.to_thread(backend.start)
        back = len(heard)
        await until(lambda: "well" in kinds()[back:], "it was never back")
        stop.set()
        figures = await playing

    for one in figures:
        assert one.failed.keys() <= {"away", "busy", "unfinished"}
        assert one.failed["away"] >= 1
        assert one.due == one.sent + one.dropped
        assert one.sent == one.answered + sum(one.failed.values())


# --- a backend that is slow -------------------------------------------------------------------------------


@asynccontextmanager
async def slow_backend(took_s):
    """It speaks the API, takes its time, and knows what it held at once."""
    at_once, most = Counter(), Counter()

    async def detect(request):
        camera = request.query_params["camera"]
        body = await request.body()
        at_once[camera] += 1
        most[camera] = max(most[camera], at_once[camera])
        await asyncio.sleep(took_s)
        at_once[camera] -= 1
        size = {"width": len(body), "height": 1}
        return JSONResponse({"detections": [], "image": size, "served_by": {"backend": "triton"}})

    app = Starlette(routes=[Route("/api/detect", detect, methods=["POST"])])
    with serving_app(app) as url:
        async with HttpBackend(BackendApi(url, None)) as backend:
            yield backend, most


async def test_nothing_waits_in_memory_however_slow_the_backend_is():
    """Against a fast one: no more requests at once, no more memory, only fewer frames."""

    class Heavy(Pictures):
        def picture(self, number, at_s):
            return bytes(a_picture)

    told, a_picture = {}, 80_000  # bytes; a queue would hold some twenty of each camera
    cameras = [Camera(name, Heavy(), 25) for name in ("gate", "yard")]
    for name, took_s in (("fast", 0.0), ("slow", 0.25)):
        async with slow_backend(took_s) as (backend, most):
            tracemalloc.start()
            figures = await play(cameras, backend, seconds=1)
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        told[name] = figures, peak_bytes
        assert set(most.values()) == {1}
        for one in figures:
            assert one.due == 25
            assert one.dropped == one.due - one.sent

    (fast, fast_bytes), (slow, slow_bytes) = told["fast"], told["slow"]
    assert sum(one.dropped for one in slow) > 30
    assert sum(one.sent for one in slow) < sum(one.sent for one in fast)
    assert slow_bytes < fast_bytes + 5 * a_picture
