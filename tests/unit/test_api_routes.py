"""The API as its callers see it, on scripted sides."""

from __future__ import annotations

import asyncio
import base64
import json
import re

import httpx
import pytest

from ai.core.errors import ServerError, Unavailable
from ai.core.sample import sample_jpeg
from backend.main import create_app
from backend.rollout.store import NotPossible, StoreAway
from backend.services.errors import TooBusy
from backend.transports.fake import FakeTransport, Hang
from tests.api_parts import ADMIN, CALLER, JPEG, KEYS, VIEWER, asked_in_process, settings_of, sides_of


@pytest.fixture
def legacy():
    return FakeTransport()


@pytest.fixture
def app(tmp_path, legacy):
    return create_app(settings_of(tmp_path), sides_of(legacy))


@pytest.fixture
async def api(app):
    async with asked_in_process(app) as client:
        yield client


def assert_problem(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    for word in words:
        assert word in problem["detail"], problem["detail"]


async def ready(api: httpx.AsyncClient) -> None:
    """The first probe was answered, so that it is not counted among what a test asks."""
    while (await api.get("/health/ready")).status_code != 200:
        await asyncio.sleep(0.01)


# --- Pictures in, detections out


async def test_a_picture_is_answered_with_who_found_what_and_why(api):
    answer = await api.post(
        "/api/detect?camera=porch&detector=yolo26", content=sample_jpeg(), headers={**JPEG, "X-Request-ID": "mine"}
    )  # fmt: skip
    assert answer.status_code == 200
    body = answer.json()
    (dog,) = body["detections"]
    assert dog == {
        "class": "dog", "class_id": 16, "confidence": 0.75,
        "bbox": {"x": 10.0, "y": 20.0, "width": 100.0, "height": 200.0},
    }  # fmt: skip
    assert body["image"] == {"width": 640, "height": 480}
    served_by = body["served_by"]
    assert 0 <= served_by.pop("bucket") < 100_000
    assert served_by == {
        "backend": "legacy", "detector": "yolo26", "model_version": "1", "reason": "KILL_SWITCH",
        "fallback_reason": None, "attempts": 1, "flag_version": 1,
    }  # fmt: skip
    assert 0 <= body["timing_ms"]["backend"] <= body["timing_ms"]["total"]
    assert answer.headers["X-Client-Request-ID"] == "mine"
    assert answer.headers["X-Request-ID"] not in {"", "mine"}
    assert answer.headers["X-Detector-Backend"] == "legacy"
    assert answer.headers["Server-Timing"].startswith("total;dur=")


@pytest.mark.parametrize("way", ["raw", "no type", "form", "base64 form", "base64 JSON", "base64 URL form"])
async def test_a_picture_may_come_in_every_way_that_the_services_take_it(api, legacy, way):
    await ready(api)
    jpeg, text = sample_jpeg(), base64.b64encode(sample_jpeg()).decode()
    sent = {
        "raw": {"content": jpeg, "headers": JPEG},
        "no type": {"content": jpeg},
        "form": {"files": {"file": ("a.jpg", jpeg)}},
        "base64 form": {"files": {"image_base64": (None, text)}},
        "base64 JSON": {"json": {"image_base64": text}},
        "base64 URL form": {"data": {"image_base64": text}},
    }[way]
    answer = await api.post("/api/detect?camera=x", **sent)
    assert answer.status_code == 200, answer.text
    assert bytes(legacy.asked[-1].image) == jpeg


async def test_the_confidence_asked_for_decides_what_is_answered(api):
    for least, count in (("0.74", 1), ("0.76", 0), ("0", 1)):
        answer = await api.post(f"/api/detect?min_confidence={least}", content=sample_jpeg())
        assert len(answer.json()["detections"]) == count


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"\xff\xd8\xff\xe0 and no more", 400, "JPEG"),
        (b"GIF89a" + b"\x00" * 50, 415, "GIF"),
        (b"\x00" * 11_000_000, 413, "10,485,760"),
    ],
)
async def test_what_is_no_picture_of_ours_is_told_before_any_side_is_asked(api, legacy, body, status, words):
    await ready(api)
    before = legacy.calls
    answer = await api.post("/api/detect", content=body, headers=JPEG)
    assert_problem(answer, status, words)
    assert "X-Request-ID" in answer.headers
    assert legacy.calls == before


async def test_an_unknown_detector_is_a_422_that_names_the_known(api):
    assert_problem(
        await api.post("/api/detect?detector=resnet", content=sample_jpeg()), 422, "rtdetr", "yolo26"
    )


async def test_a_side_that_is_down_is_a_503_with_retry_after_and_never_an_empty_list(tmp_path):
    dead = FakeTransport().always(Unavailable("gone"))
    async with asked_in_process(create_app(settings_of(tmp_path), sides_of(dead))) as api:
        answer = await api.post("/api/detect", content=sample_jpeg())
        assert_problem(answer, 503, "legacy")
        assert int(answer.headers["Retry-After"]) >= 1
        answer = await api.post("/v1/vision/detection", files={"image": sample_jpeg()})
        assert_problem(answer, 503, "legacy")
        assert (answer.json()["success"], answer.json()["error"]) == (False, answer.json()["detail"])
        assert "predictions" not in answer.json()


async def test_the_callers_deadline_shortens_ours(tmp_path):
    slow = FakeTransport().always(Hang())
    async with asked_in_process(
        create_app(settings_of(tmp_path, detect_deadline_s=60), sides_of(slow))
    ) as api:
        answer = await api.post("/api/detect", content=sample_jpeg(), headers={"X-Deadline-Ms": "50"})
        assert_problem(answer, 504, "deadline")
        for bad in ("-1", "nan", "soon", "1e9"):
            answer = await api.post("/api/detect", content=sample_jpeg(), headers={"X-Deadline-Ms": bad})
            assert_problem(answer, 400, "X-Deadline-Ms")


async def test_a_batch_answers_each_picture_and_each_fault_at_its_index(tmp_path):
    legacy = FakeTransport()
    async with asked_in_process(create_app(settings_of(tmp_path, fallback="none"), sides_of(legacy))) as api:
        await ready(api)
        files = [
            ("files", ("a.jpg", sample_jpeg())),
            ("files", ("../b.gif", b"GIF89a")),
            ("files", ("c.jpg", sample_jpeg())),
        ]
        legacy.then(ServerError("broken"))
        answer = await api.post("/api/detect/batch", files=files)
    assert answer.status_code == 200
    first, second, third = answer.json()["results"]
    assert [one["index"] for one in (first, second, third)] == [0, 1, 2]
    assert first["error"]["status"] == 503
    assert (second["filename"], second["error"]["status"]) == ("b.gif", 415)
    assert third["served_by"]["backend"] == "legacy"
    assert answer.json()["num_images"] == 3


async def test_an_unexpected_fault_is_a_500_with_a_sentence_and_a_traceback_for_us(app, caplog):
    async with asked_in_process(app) as api:
        app.state.parts.client.detect = None  # as a bug of ours would
        answer = await api.post("/v1/vision/detection", files={"image": sample_jpeg()})
    assert_problem(answer, 500, "log")
    assert answer.json()["success"] is False


# --- DeepStack


async def test_frigates_request_is_answered_in_its_words(api):
    answer = await api.post(
        "/v1/vision/detection", data={"api_key": ""}, files={"image": ("image", sample_jpeg())}
    )
    assert answer.json() == {
        "success": True, "duration": answer.json()["duration"],
        "predictions": [
            {"label": "dog", "confidence": 0.75, "x_min": 10, "y_min": 20, "x_max": 110, "y_max": 220}
        ],
    }  # fmt: skip


async def test_deepstacks_confidence_may_stand_in_the_form(api):
    for least, count in (("0.9", 0), ("0.6", 1)):
        form = {"files": {"image": sample_jpeg()}, "data": {"min_confidence": least}}
        assert len((await api.post("/v1/vision/detection", **form)).json()["predictions"]) == count
    form["data"] = {"min_confidence": "high"}
    assert_problem(await api.post("/v1/vision/detection", **form), 422, "min_confidence")


async def test_deepstacks_key_may_stand_in_the_form(tmp_path):
    async with asked_in_process(create_app(settings_of(tmp_path, api_keys=KEYS), sides_of())) as api:
        for sent, status in (({"api_key": "caller-key"}, 200), ({"api_key": "wrong"}, 401), ({}, 401)):
            answer = await api.post("/v1/vision/detection", data=sent, files={"image": sample_jpeg()})
            assert answer.status_code == status
        assert "wrong" not in answer.text


# --- Keys


async def test_with_a_callers_key_configured_detection_needs_one(tmp_path):
    async with asked_in_process(create_app(settings_of(tmp_path, api_keys=KEYS), sides_of())) as api:
        for path, sent in (
            ("/api/detect", {"content": sample_jpeg()}),
            ("/api/detect/batch", {"files": {"files": sample_jpeg()}}),
        ):
            assert_problem(await api.post(path, **sent), 401, "X-API-Key")
            assert_problem(await api.post(path, headers={"X-API-Key": "no"}, **sent), 401, "not known")
            for key in (CALLER, VIEWER, ADMIN):
                assert (await api.post(path, headers=key, **sent)).status_code == 200


async def test_forcing_a_side_is_an_admins_and_never_overrides_the_kill_switch(api):
    forced = "/api/detect?backend="
    assert_problem(await api.post(forced + "legacy", content=sample_jpeg()), 401)
    assert_problem(await api.post(forced + "legacy", content=sample_jpeg(), headers=VIEWER), 403, "viewer")
    answer = await api.post(forced + "legacy", content=sample_jpeg(), headers=ADMIN)
    assert answer.json()["served_by"]["reason"] == "FORCED"
    assert_problem(
        await api.post(forced + "triton", content=sample_jpeg(), headers=ADMIN), 409, "TRITON_ENABLED"
    )


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/api/rollout", "viewer"),
        ("GET", "/api/rollout/history", "viewer"),
        ("GET", "/api/rollout/history?format=jsonl", "viewer"),
        ("GET", "/api/rollout/ramp", "viewer"),
        ("GET", "/api/rollout/report?format=html", "viewer"),
        ("GET", "/api/rollout/samples", "viewer"),
        ("DELETE", "/api/rollout/samples?all=true", "admin"),
        ("PUT", "/api/rollout", "admin"),
        ("POST", "/api/rollout/rollback", "admin"),
    ],
)
async def test_flags_are_shown_to_viewers_and_changed_by_admins(api, method, path, role):
    assert_problem(await api.request(method, path), 401, role)
    keys = {"viewer": VIEWER, "admin": ADMIN}
    smaller = {"X-API-Key": "viewer-key"} if role == "admin" else {"X-API-Key": "none"}
    assert (await api.request(method, path, headers=smaller)).status_code in {401, 403}
    answer = await api.request(method, path, headers={**keys[role], "If-Match": "*"}, json={"fraction": 0.5})
    assert answer.status_code == 200, answer.text


# --- The rollout


async def changed(api: httpx.AsyncClient, version: str | None, **fields: object) -> httpx.Response:
    headers = ADMIN if version is None else {**ADMIN, "If-Match": version}
    return await api.put("/api/rollout", headers=headers, json=fields)


async def test_a_change_is_made_of_what_was_seen_and_answered_with_the_next_version(api):
    seen = await api.get("/api/rollout", headers=VIEWER)
    assert seen.headers["ETag"] == '"v1"'
    answer = await changed(api, seen.headers["ETag"], fraction=0.25, pins={"porch": "legacy"}, reason="a try")
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"v2"'
    now = (await api.get("/api/rollout", headers=VIEWER)).json()
    assert (now["version"], now["fraction"], now["pins"]) == (2, 0.25, {"porch": "legacy"})
    assert now["kill_switch"] is True
    assert now["effective"] == {"rtdetr": 0.0, "yolo26": 0.0}
    assert [worker["version"] for worker in now["workers"]] == [2]
    (last, *_) = (await api.get("/api/rollout/history", headers=VIEWER)).json()["changes"]
    assert (last["who"], last["reason"], last["version"]) == ("ops", "a try", 2)
    assert (last["before"]["fraction"], last["after"]["fraction"]) == (0.0, 0.25)


async def test_a_lost_update_is_412_with_the_current_version_and_changes_nothing(api):
    assert (await changed(api, '"v1"', fraction=0.25)).status_code == 200
    for stale in ('"v1"', '"v99"', "v2", 'W/"v2"', "junk", ""):
        answer = await changed(api, stale, fraction=0.5)
        assert_problem(answer, 412, '"v2"')
        assert answer.headers["ETag"] == '"v2"'
    assert (await api.get("/api/rollout", headers=VIEWER)).json()["fraction"] == 0.25


async def test_a_change_of_nothing_seen_is_428(api):
    assert_problem(await changed(api, None, fraction=0.5), 428, "If-Match")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fraction": 2}, "fraction is 2"),
        ({"fraction": "half"}, "a number from 0 to 1"),
        ({"fraction": None}, "a number from 0 to 1"),
        ({"enabled": 1}, "true or false"),
        ({"pins": {"porch": "elsewhere"}}, "legacy or triton"),
        ({"pins": [1]}, "a table"),
        ({"overrides": {"yolo26": -1}}, "overrides.yolo26"),
        ({"overrides": {"yolo": 0}}, "there are rtdetr, yolo26"),
        ({"version": 7}, "'version' cannot be changed"),
        ({"ramps": {}}, "POST /api/rollout/ramp starts, pauses and ends them"),
        ({"colour": 1, "fraction": 0.5}, "'colour' cannot be changed"),
        ({"reason": "only this"}, "nothing is to be changed"),
        ({"fraction": 0.5, "reason": 7}, "reason"),
        ({"fraction": 0.5, "reason": "x" * 501}, "reason"),
        ({"fraction": 0.5, "reason": "x\n    7  forged"}, "reason holds '\\n'"),
        ({"fraction": 0.5, "reason": "\x1b]52;c;x\x07"}, "reason holds '\\x1b'"),
        ({"fraction": 0.5, "reason": "\ud800"}, "reason holds '\\ud800'"),
        ({"pins": {"\ud800": "x"}}, "pins: the name '\\ud800'"),
        ({"pins": {"\ud800": "triton"}}, "pins: the name '\\ud800'"),
        ({"pins": {"\x1b]0;x\x07": "legacy"}}, "cannot be printed"),
        ({"pins": {"porch": "\ud800"}}, "legacy or triton"),
        ({"fraction": "\ud800"}, "a number from 0 to 1"),
        ({"overrides": {"\ud800": 1}}, "there are rtdetr, yolo26"),
        ({"\ud800": 1}, "cannot be changed"),
        ({}, "nothing is to be changed"),
        ([0.5], "a JSON object"),
    ],
)
async def test_a_bad_field_is_a_422_that_says_what_it_may_be(api, fields, words):
    body = json.dumps(fields)  # half a sign as an escape: httpx would not send it otherwise
    answer = await api.put("/api/rollout", headers={**ADMIN, "If-Match": "*"}, content=body)
    assert_problem(answer, 422, words)


async def test_no_sentence_of_an_error_is_more_than_utf_8_can_carry(app, api):
    async def fails(*_: object, **__: object) -> None:
        raise NotPossible("of a camera called \ud800")

    app.state.parts.rollout.change = fails
    assert_problem(await changed(api, "*", fraction=0.5), 409, "called \\ud800")


async def test_a_reason_may_be_in_any_language(api):
    reason = "夜間　試験: людей не видно 👨‍👩‍👧 «prêt»"
    assert (await changed(api, "*", fraction=0.5, reason=reason)).status_code == 200
    history = (await api.get("/api/rollout/history", headers=VIEWER)).json()
    assert history["changes"][0]["reason"] == reason


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b"", 422), (b"null", 422), (b" " * 2_000_000, 413),
        (b'{"fraction": NaN}', 422), (b'{"fraction": 1' + b"0" * 400 + b"}", 422), (b'{"fraction": 1e999}', 422),
    ],
)  # fmt: skip
async def test_no_body_of_a_change_is_more_than_a_problem(api, body, status):
    assert_problem(await api.put("/api/rollout", headers={**ADMIN, "If-Match": "*"}, content=body), status)


async def test_a_rollback_needs_no_version_and_says_when_all_obey(api):
    await changed(api, "*", fraction=0.5)
    answer = await api.post("/api/rollout/rollback", headers=ADMIN, json={"reason": "dogs are cats"})
    assert answer.status_code == 200
    assert (answer.json()["fraction"], answer.json()["pending"]) == (0.0, [])
    assert answer.headers["ETag"] == '"v3"'
    assert (await api.post("/api/rollout/rollback", headers=ADMIN)).status_code == 200


async def test_a_rollback_that_not_all_confirmed_is_202_with_their_names(app, api):
    rollout = app.state.parts.rollout
    rolled_back = rollout.rollback

    async def slowly(**who: str):
        done = await rolled_back(**who)
        return type(done)(done.state, ("nvr-2",))

    rollout.rollback = slowly
    answer = await api.post("/api/rollout/rollback", headers=ADMIN)
    assert (answer.status_code, answer.json()["pending"]) == (202, ["nvr-2"])


@pytest.mark.parametrize(
    ("error", "status"), [(NotPossible("Legacy is off."), 409), (StoreAway("Gone."), 503)]
)
async def test_what_the_rollout_cannot_do_is_told(app, api, error, status):
    async def fails(*_: object, **__: object) -> None:
        raise error

    app.state.parts.rollout.change = app.state.parts.rollout.rollback = fails
    for answer in (
        await changed(api, "*", fraction=0.5),
        await api.post("/api/rollout/rollback", headers=ADMIN),
    ):
        assert_problem(answer, status, str(error))


async def test_the_history_is_as_long_as_asked(api):
    for fraction in (0.1, 0.2, 0.3):
        await changed(api, "*", fraction=fraction)
    answer = await api.get("/api/rollout/history?limit=2", headers=VIEWER)
    assert [change["version"] for change in answer.json()["changes"]] == [4, 3]
    for bad in ("0", "1001", "-1", "٣", "many", "1" * 5000):
        assert_problem(
            await api.get("/api/rollout/history", params={"limit": bad}, headers=VIEWER), 422, "limit"
        )


# --- Health and the rest


async def test_it_is_ready_once_a_side_has_answered_and_alive_before(tmp_path):
    hangs = Hang()
    async with asked_in_process(
        create_app(settings_of(tmp_path), sides_of(FakeTransport().always(hangs)))
    ) as api:
        assert (await api.get("/health/live")).json() == {"status": "alive"}
        not_ready = await api.get("/health/ready")
        assert_problem(not_ready, 503, "no side")
        assert {lane["heard"] for lane in not_ready.json()["lanes"]} == {False}
        hangs.release()
        await ready(api)
        lanes = (await api.get("/health/ready")).json()["lanes"]
    assert {(lane["detector"], lane["backend"]) for lane in lanes} == {
        (detector, side) for detector in ("rtdetr", "yolo26") for side in ("legacy", "triton")
    }
    assert lanes[0].keys() == {
        "detector", "backend", "allowed", "breaker", "heard", "in_flight", "for_callers",
    }  # fmt: skip


async def test_metrics_are_text_and_count_what_was_asked(api):
    await api.post("/api/detect", content=sample_jpeg())
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'detector_requests_total{backend="legacy",detector="rtdetr",outcome="ok"} 1.0' in answer.text


def ended(text: str) -> dict[tuple[str, str, str], float]:
    """Images that were counted, by (detector, backend, outcome)."""
    lines = re.findall(
        r'^detector_requests_total{backend="(.*?)",detector="(.*?)",outcome="(.*?)"} (.*)$',
        text,
        re.MULTILINE,
    )
    return {
        (detector, side, outcome): float(n) for side, detector, outcome, n in lines if n not in ("0.0", "0")
    }


async def counted(api: httpx.AsyncClient) -> dict[tuple[str, str, str], float]:
    return ended((await api.get("/metrics")).text)


@pytest.mark.parametrize("path", ["/api/detect", "/api/detect/batch", "/v1/vision/detection"])
async def test_a_body_that_there_is_no_room_for_is_counted_as_busy(app, api, path):
    app.state.parts.budget.limit = 1
    assert_problem(await api.post(path, files={"files": sample_jpeg()}), 503, "are being worked on")
    assert await counted(api) == {("rtdetr", "none", "busy"): 1}


async def test_it_is_counted_for_the_detector_that_was_asked_for_if_that_is_one_of_ours(app, api):
    app.state.parts.budget.limit = 1
    for detector in ("yolo26", 'rtdetr"} 1', "other", ""):
        await api.post("/api/detect", params={"detector": detector}, content=sample_jpeg())
    assert await counted(api) == {("yolo26", "none", "busy"): 1, ("rtdetr", "none", "busy"): 3}


async def test_a_fault_before_a_side_is_asked_is_counted_as_failed(api, monkeypatch):
    monkeypatch.setattr("backend.api.job.introduced", None)  # as a bug of ours would
    assert_problem(await api.post("/api/detect", content=sample_jpeg()), 500)
    assert await counted(api) == {("rtdetr", "none", "failed"): 1}


async def test_a_fault_on_the_way_back_is_counted_though_a_side_has_answered(api, monkeypatch):
    monkeypatch.setattr("backend.api.answers.single", None)
    assert_problem(await api.post("/api/detect", content=sample_jpeg()), 500)
    assert await counted(api) == {("rtdetr", "legacy", "ok"): 1, ("rtdetr", "none", "failed"): 1}


async def test_a_fault_of_the_client_is_counted_by_it_and_once(app, api, monkeypatch):
    monkeypatch.setattr(app.state.parts.client, "_serve", None)
    assert_problem(await api.post("/api/detect", content=sample_jpeg()), 500)
    assert await counted(api) == {("rtdetr", "none", "failed"): 1}


async def test_a_callers_own_faults_are_counted_nowhere(api):
    for path, what in (
        ("/api/detect", {"content": b"no picture"}),
        ("/api/detect", {"params": {"detector": "nobody's"}, "content": sample_jpeg()}),
        ("/api/detect/batch", {"content": b""}),
        ("/v1/vision/detection", {"params": {"min_confidence": "high"}, "files": {"image": sample_jpeg()}}),
    ):
        assert 400 <= (await api.post(path, **what)).status_code < 500
    assert await counted(api) == {}


async def test_what_is_not_there_is_a_problem_too(api):
    assert_problem(await api.get("/nothing"), 404, "GET /nothing")
    answer = await api.delete("/api/rollout", headers=ADMIN)
    assert_problem(answer, 405, "DELETE /api/rollout")
    assert answer.headers["Allow"] == "GET, HEAD, PUT"
    assert_problem(await api.get("/v1/vision/detection"), 405)
    assert_problem(await api.get("/api/rollout/", headers=VIEWER), 404)


async def test_what_can_be_got_can_be_asked_for_by_its_head(api):
    for path in ("/health/live", "/metrics", "/api/rollout"):
        assert (await api.head(path, headers=VIEWER)).status_code == 200


async def test_a_full_backend_says_when_to_come_back(app, api):
    async def full(*_: object, **__: object) -> None:
        raise TooBusy("Too much is asked.", 0.2)

    app.state.parts.client.detect = full
    answer = await api.post("/api/detect", content=sample_jpeg())
    assert_problem(answer, 503, "Too much")
    assert answer.headers["Retry-After"] == "1"


async def test_every_route_is_documented_with_an_example(api):
    document = json.loads((await api.get("/openapi.json")).text)
    assert (await api.get("/docs")).status_code == 200
    for path, operations in document["paths"].items():
        for about in operations.values():
            assert about["summary"]
            for content in about["responses"]["200"]["content"].values():
                assert path == "/metrics" or "example" in content, path
