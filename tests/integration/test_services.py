"""The two legacy services, running as a user runs them: what design 4.2 promises to whoever calls them."""

from __future__ import annotations

import base64
import concurrent.futures
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import cv2
import httpx
import numpy as np
import psutil
import pytest

from ai.core.geometry import iou
from ai.core.image import decode
from ai.core.labels import COCO_80
from ai.core.sample import sample_jpeg
from ai.demo.scenes import draw_scene
from tests import pictures
from tests.services import running

pytestmark = pytest.mark.beside

JPEG = {"content-type": "image/jpeg"}


def boxes_of(answer: dict, floor: float = 0.25) -> list[tuple[str, list[float]]]:
    return [(d["class"], corners(**d["bbox"])) for d in answer["detections"] if d["confidence"] >= floor]


def corners(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y + height]


def assert_same_boxes(got: dict, wanted: dict, at_least: float = 0.98) -> None:
    ours, theirs = boxes_of(got), boxes_of(wanted)
    assert len(ours) == len(theirs) > 0
    overlap = iou(np.array([box for _, box in ours]), np.array([box for _, box in theirs]))
    same_class = np.array([[label == other for other, _ in theirs] for label, _ in ours])
    assert (np.where(same_class, overlap, 0).max(axis=1) >= at_least).all()


# --- What is answered


def test_an_answer_has_the_contracts_fields_and_no_others(service):
    """`detections`, `inference_time_ms`, `image_width`, `image_height`; boxes lie inside the image."""
    answer = service.post("/detect", content=sample_jpeg(), headers=JPEG).json()
    height, width = decode(sample_jpeg()).shape[:2]
    assert set(answer) == {"detections", "inference_time_ms", "image_width", "image_height"}
    assert (answer["image_width"], answer["image_height"]) == (width, height)
    assert answer["inference_time_ms"] > 0
    scores = [found["confidence"] for found in answer["detections"]]
    assert scores == sorted(scores, reverse=True)
    for found in answer["detections"]:
        assert set(found) == {"class", "class_id", "confidence", "bbox"}
        box = found["bbox"]
        assert set(box) == {"x", "y", "width", "height"}
        assert 0.05 <= found["confidence"] <= 1
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width + 1e-3
        assert box["y"] + box["height"] <= height + 1e-3


def test_every_way_of_sending_a_picture_gets_the_same_answer(service):
    """Raw body, multipart file, base64 in multipart, in a form, in JSON, and as a data URL."""
    data = sample_jpeg()
    text = base64.b64encode(data).decode()
    answers = [
        service.post("/detect", content=data, headers=JPEG),
        service.post("/detect", content=data),
        service.post("/detect", content=data, headers={"content-type": "application/x-www-form-urlencoded"}),
        service.post("/detect", files={"file": ("porch.jpg", data, "image/jpeg")}),
        service.post("/detect", files={"image_base64": (None, text)}),
        service.post("/detect", data={"image_base64": text}),
        service.post("/detect", json={"image_base64": text}),
        service.post("/detect", json={"image_base64": "data:image/jpeg;base64," + text}),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert len(boxes_of(answers[0].json())) > 0
    assert all(answer.json()["detections"] == answers[0].json()["detections"] for answer in answers)


def test_drawn_scenes_come_back_with_their_objects(service):
    """Of the objects of forty pixels or more in eight new scenes, at least four in five are found where they are."""
    found = wanted = 0
    for seed in range(700_000, 700_008):
        scene = draw_scene(seed, "train", 640, 360)
        jpeg = cv2.imencode(".jpg", scene.image[..., ::-1])[1].tobytes()
        answer = boxes_of(service.post("/detect", content=jpeg, headers=JPEG).json(), floor=0.5)
        seen = np.array([box for _, box in answer]).reshape(-1, 4)
        for box, class_id in zip(scene.boxes, scene.class_ids, strict=True):
            if max(box[2] - box[0], box[3] - box[1]) >= 40:
                wanted += 1
                same = [label == COCO_80[class_id] for label, _ in answer]
                found += bool((iou(box[None], seen)[0][same] >= 0.7).any())
    assert wanted >= 12
    assert found >= 0.8 * wanted


@pytest.mark.parametrize("codec", [".png", ".webp"])
def test_png_and_webp_show_the_same_objects(service, codec):
    pixels = cv2.imdecode(np.frombuffer(sample_jpeg(), np.uint8), cv2.IMREAD_COLOR)
    lossless = cv2.imencode(codec, pixels, [cv2.IMWRITE_WEBP_QUALITY, 101] if codec == ".webp" else [])[
        1
    ].tobytes()
    wanted = service.post("/detect", content=sample_jpeg(), headers=JPEG).json()
    assert_same_boxes(service.post("/detect", content=lossless).json(), wanted, at_least=0.97)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_in_the_upright_picture_for_all_eight_orientations(yolo26, orientation):
    """A camera that was mounted on its side writes so in EXIF; the boxes are those of the upright scene."""
    upright = decode(sample_jpeg())
    wanted = yolo26.post("/detect", content=pictures.png(upright)).json()
    turned = pictures.oriented("png", orientation, pixels=np.ascontiguousarray(stored(upright, orientation)))
    got = yolo26.post("/detect", content=turned).json()
    assert (got["image_width"], got["image_height"]) == (upright.shape[1], upright.shape[0])
    assert got["detections"] == wanted["detections"]
    assert len(boxes_of(wanted)) > 0


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a file of this orientation holds: what a viewer undoes."""
    undo = {1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud,
            5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p, 1),
            7: lambda p: np.rot90(p, 2).transpose(1, 0, 2), 8: lambda p: np.rot90(p, -1)}  # fmt: skip
    return undo[orientation](upright)


def test_a_batch_answers_each_picture_at_its_index_and_a_bad_one_fails_alone(service):
    single = service.post("/detect", content=sample_jpeg(), headers=JPEG).json()
    files = [
        ("files", ("good.jpg", sample_jpeg(), "image/jpeg")),
        ("files", ("../../etc/passwd", b"root:x:0:0:root", "image/jpeg")),
        ("files", ("half.jpg", sample_jpeg()[: len(sample_jpeg()) // 2], "image/jpeg")),
        ("files", ("again.jpg", sample_jpeg(), "image/jpeg")),
    ]
    answer = service.post("/detect/batch", files=files).json()
    assert set(answer) == {"results", "total_inference_time_ms", "num_images"}
    assert answer["num_images"] == 4
    results = answer["results"]
    assert [r["index"] for r in results] == [0, 1, 2, 3]
    assert [r["filename"] for r in results] == ["good.jpg", "passwd", "half.jpg", "again.jpg"]
    assert [r.get("error", {}).get("status") for r in results] == [None, 400, 400, None]
    for good in (results[0], results[3]):
        assert set(good) == {"index", "filename", "image_width", "image_height", "detections"}
        assert_same_boxes(good, single)


def test_a_large_batch_is_answered_whole_and_one_over_the_limit_is_refused(yolo26):
    """32 pictures go through the model in parts; the 33rd is one too many."""
    small = pictures.jpeg(pictures.scene(96, 64))
    files = [("files", (f"{i}.jpg", small, "image/jpeg")) for i in range(32)]
    results = yolo26.post("/detect/batch", files=files).json()["results"]
    assert [r["filename"] for r in results] == [f"{i}.jpg" for i in range(32)]
    refused = yolo26.post("/detect/batch", files=[*files, files[0]])
    assert refused.status_code == 413
    assert "32" in refused.json()["detail"]


# --- Health, metrics, warm-up


def test_health_names_the_model_and_its_device(service):
    health = service.get("/health").json()
    assert (health["status"], health["model_loaded"], health["model_name"]) == ("healthy", True, service.name)
    assert health["device"] in {"cpu", "cuda"}


def test_health_is_503_until_the_model_has_answered():
    """A load balancer that trusts it never sends a picture to a model that is still loading."""
    with running("yolo26", wait=False) as service:
        seen = set()
        while 200 not in seen:
            try:
                answer = service.get("/health")
            except httpx.TransportError:
                assert service.process.poll() is None
                continue
            seen.add(answer.status_code)
            if answer.status_code == 503 and len(seen) == 1:
                assert answer.json()["status"] == "loading"
                early = service.post("/detect", content=sample_jpeg(), headers=JPEG)
                assert early.status_code in {503, 200}
                if early.status_code == 503:
                    assert "Retry-After" in early.headers
        assert seen == {503, 200}


def test_metrics_count_what_was_answered_single_and_batch(service):
    """One request of each kind and outcome moves exactly its own counter."""
    lines = {
        'inference_requests_total{endpoint="detect",status="200"}': 1,
        'inference_requests_total{endpoint="detect",status="400"}': 1,
        'inference_requests_total{endpoint="detect_batch",status="200"}': 1,
        'inference_latency_seconds_count{endpoint="detect"}': 1,
        'inference_latency_seconds_count{endpoint="detect_batch"}': 1,
        "detections_per_image_count": 3,
        'inference_stage_seconds_count{stage="decode"}': 3,
    }
    before = {line: service.metric(line) for line in lines}
    service.post("/detect", content=sample_jpeg(), headers=JPEG)
    service.post("/detect", content=b"no picture, but long enough", headers=JPEG)
    service.post(
        "/detect/batch", files=[("files", ("a.jpg", sample_jpeg())), ("files", ("b.jpg", sample_jpeg()))]
    )
    assert {line: service.metric(line) - before[line] for line in lines} == lines
    assert service.metric("model_loaded") == 1


def test_warm_up_runs_the_model_and_says_so(service):
    before = service.get("/warmup_status").json()
    assert before["runs"] >= 3
    after = service.post("/warmup").json()
    assert after["runs"] == before["runs"] + 3
    assert after["last_ms"] > 0
    assert service.get("/warmup_status").json()["runs"] == after["runs"]


def test_a_flood_of_warm_ups_is_one_warm_up_and_starves_nobody(yolo26):
    """Forty callers ask for a warm-up and hang up: they share its runs, and a picture is answered meanwhile."""
    before = yolo26.get("/warmup_status").json()["runs"]
    lines = []
    for _ in range(40):
        line = socket.create_connection(("127.0.0.1", yolo26.port), timeout=10)
        line.sendall(b"POST /warmup HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n")
        lines.append(line)
    assert yolo26.post("/detect", content=sample_jpeg(), headers=JPEG).status_code == 200
    for line in lines:
        line.close()
    assert yolo26.get("/warmup_status").json()["runs"] <= before + 12


def test_the_api_describes_itself(service):
    paths = service.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/detect", "/detect/batch", "/health", "/warmup", "/warmup_status", "/metrics"}
    assert "multipart/form-data" in paths["/detect"]["post"]["requestBody"]["content"]
    assert service.get("/docs").status_code == 200


def test_health_answers_head_as_load_balancers_ask(service):
    assert httpx.head(service.url + "/health").status_code == 200


# --- Under load, late, and at the end


@pytest.mark.alone
def test_health_answers_while_the_model_is_busy(rtdetr):
    """Neither decoding nor the model holds the event loop: /health takes less than one inference, every time."""
    inference_ms, health_ms = [], []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            inference_ms.append(
                rtdetr.post("/detect", content=sample_jpeg(), headers=JPEG).json()["inference_time_ms"]
            )

    with concurrent.futures.ThreadPoolExecutor(4) as pool, httpx.Client() as client:
        callers = [pool.submit(load) for _ in range(4)]
        for _ in range(30):
            started = time.perf_counter()
            assert client.get(rtdetr.url + "/health").status_code == 200
            health_ms.append((time.perf_counter() - started) * 1000)
        stop.set()
        concurrent.futures.wait(callers)
    assert statistics.median(health_ms) < statistics.median(inference_ms) / 2
    assert max(health_ms) < max(inference_ms)


def test_a_full_queue_answers_503_at_once_and_the_admitted_are_served():
    with running("yolo26", MAX_IN_FLIGHT="3") as service, concurrent.futures.ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(service.post, "/detect", content=sample_jpeg(), headers=JPEG) for _ in range(24)]
        answers = [one.result() for one in asked]
        codes = {answer.status_code for answer in answers}
        assert codes == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["Retry-After"] == "1"
        assert "no more than 3" in refused.json()["detail"]
        assert service.post("/detect", content=sample_jpeg(), headers=JPEG).status_code == 200


def test_a_caller_whose_deadline_passed_is_not_worked_for(yolo26):
    """504, and the model was never asked."""
    before = yolo26.metric('inference_stage_seconds_count{stage="inference"}')
    late = yolo26.post("/detect", content=sample_jpeg(), headers={**JPEG, "X-Deadline-Ms": "0"})
    assert late.status_code == 504
    assert "deadline" in late.json()["detail"]
    assert yolo26.metric('inference_stage_seconds_count{stage="inference"}') == before
    in_time = yolo26.post("/detect", content=sample_jpeg(), headers={**JPEG, "X-Deadline-Ms": "20000"})
    assert in_time.status_code == 200


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "inf", "1e12", ""])
def test_a_deadline_that_is_no_number_of_milliseconds_is_refused(yolo26, header):
    answer = yolo26.post("/detect", content=sample_jpeg(), headers={**JPEG, "X-Deadline-Ms": header})
    assert answer.status_code == 400
    assert "X-Deadline-Ms" in answer.json()["detail"]


def test_work_whose_caller_hung_up_is_dropped_before_the_model_sees_it(rtdetr):
    """Twelve callers post behind a long batch and hang up: the model never runs for them."""
    served = 'inference_requests_total{endpoint="detect",status="200"}'
    gone = 'inference_requests_total{endpoint="detect",status="499"}'
    inferred = 'inference_stage_seconds_count{stage="inference"}'
    before = [rtdetr.metric(line) for line in (served, gone, inferred)]
    files = [("files", ("a.jpg", sample_jpeg())) for _ in range(32)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        batch = pool.submit(rtdetr.post, "/detect/batch", files=files, timeout=60)
        wait_for(lambda: rtdetr.get("/health").json()["in_flight"] == 1)
        lines = [raw_post(rtdetr.port) for _ in range(12)]
        wait_for(lambda: rtdetr.get("/health").json()["in_flight"] == 13)
        for line in lines:
            line.close()
        wait_for(lambda: rtdetr.metric(gone) == before[1] + 12)
        assert batch.result().status_code == 200
    rtdetr.wait_until_idle()
    assert [rtdetr.metric(line) for line in (served, gone, inferred)] == [
        before[0],
        before[1] + 12,
        before[2] + 32,
    ]


def wait_for(condition, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)


def raw_post(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=10)
    data = sample_jpeg()
    line.sendall(
        b"POST /detect HTTP/1.1\r\nHost: t\r\nContent-Type: image/jpeg\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(data), data)
    )
    return line


def test_sigterm_ends_the_service_after_the_requests_in_flight_are_answered():
    with running("yolo26") as service, concurrent.futures.ThreadPoolExecutor(6) as pool:
        files = [("files", ("a.jpg", sample_jpeg())) for _ in range(12)]
        asked = [pool.submit(service.post, "/detect/batch", files=files, timeout=60) for _ in range(3)]
        wait_for(lambda: service.get("/health").json()["in_flight"] == 3)
        service.process.send_signal(signal.SIGTERM)
        assert [one.result().status_code for one in asked] == [200] * 3
        service.process.wait(30)
        with pytest.raises(httpx.TransportError):
            service.get("/health")


# --- Settings


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("YOLO26_PORT", "http", "YOLO26_PORT='http': "),
        ("YOLO26_MAX_IN_FLIGHT", "0", "greater than or equal to 1"),
        ("YOLO26_DEVICE", "tpu", "YOLO26_DEVICE='tpu'"),
        (
            "YOLO26_WEIGHTS",
            "/nowhere/y.pt",
            "YOLO26_WEIGHTS='/nowhere/y.pt': no such file; allowed are 'demo'",
        ),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line(variable, value, told):
    ended = subprocess.run(
        [sys.executable, "-m", "ai.yolo26.service"], env={"PATH": "", variable: value}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert told in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_weights_that_cannot_be_read_are_told_by_health(tmp_path):
    """The service stays, so that whoever asks /health learns why it is not ready."""
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"not weights")
    with running("yolo26", wait=False, WEIGHTS=str(broken)) as service:
        answer = health_once_it_is(service, "failed")
        assert answer.status_code == 503
        assert "Error" in answer.json()["error"]
        assert service.post("/detect", content=sample_jpeg(), headers=JPEG).status_code == 503


def health_once_it_is(service, status: str) -> httpx.Response:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = service.get("/health")
        except httpx.TransportError:
            assert service.process.poll() is None
            continue
        if answer.json()["status"] == status:
            return answer
    raise AssertionError(f"/health never said {status!r}")


def test_a_service_that_is_told_nothing_listens_on_this_machine_alone(service):
    listening = [
        one.laddr.ip
        for one in psutil.Process(service.process.pid).net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]
