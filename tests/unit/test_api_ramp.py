"""Ramps, their report, their samples and the history over the API: on a real store, with scripted sides."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from ai.core.sample import sample_jpeg
from backend.api import history as history_route
from backend.main import create_app
from backend.ramp.looks import Answer, Look, look_record
from backend.rollout.control import Rollout
from backend.rollout.store import Sample, SampleLimits, Store, StoreAway
from tests.api_parts import ADMIN, CALLER, KEYS, VIEWER, asked_in_process, ramped_settings_of, sides_of

FORCED = {"action": "start", "detector": "yolo26", "force": True, "reason": "a try"}
RAMP = "/api/rollout/ramp"
SAMPLES = "/api/rollout/samples"
ANSWER = Answer("disagreement", 1, 311, 0, 0.003, 0.0032, -0.004, 0.017, -0.4, -0.2, 3.0, 9.2, 1414)


@pytest.fixture
def app(tmp_path, nothing_said_of_flags, monkeypatch) -> FastAPI:
    monkeypatch.setenv("TRITON_ENABLED", "true")
    return create_app(ramped_settings_of(tmp_path, api_keys=KEYS), sides_of())


@pytest.fixture
async def api(app) -> AsyncIterator[httpx.AsyncClient]:
    async with asked_in_process(app) as client:
        yield client


def rollout_of(app: FastAPI) -> Rollout:
    return app.state.parts.rollout


async def ordered(api: httpx.AsyncClient, **order: object) -> httpx.Response:
    return await api.post(RAMP, headers=ADMIN, json=order)


async def ramp_of(api: httpx.AsyncClient, detector: str = "yolo26") -> dict:
    return (await api.get(RAMP, headers=VIEWER)).json()["ramps"][detector]


async def looked(
    app: FastAPI, epoch: str, detector: str = "yolo26", words: str = "hold: 312 of about 1,414"
) -> None:
    """As the leader keeps it."""
    look = Look(detector, epoch, 1.0, "hold", words, answers=(ANSWER,))

    def keep(store: Store) -> None:
        assert store.lead("a leader of this test", 60)
        assert store.keep(look_record(detector), json.dumps(look.to_table()), "a leader of this test")
        store.resign("a leader of this test")

    await rollout_of(app).ask(keep)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["detail"]


# --- Orders


async def test_a_ramp_is_started_paused_resumed_and_aborted_and_each_is_answered_with_where_it_stands(api):
    started = await ordered(api, **FORCED, steps=[0.1, 1.0], gates=[1.0])
    assert started.status_code == 200, started.text
    ramp = started.json()["ramps"]["yolo26"]
    assert (ramp["phase"], ramp["steps"], ramp["gates"], ramp["forced"]) == (
        "baseline",
        [0.1, 1.0],
        [1.0],
        "a try",
    )
    assert (ramp["epoch"], ramp["fraction"], ramp["look"]) == (f"{ramp['id']}.1", 0.0, None)
    assert started.headers["ETag"] == '"v2"'
    assert list(started.json()["ramps"]) == ["yolo26"]
    paused = await ordered(api, action="pause", reason="night shift")
    assert paused.json()["ramps"]["yolo26"]["paused"] == "by ops: night shift"
    assert (await ordered(api, action="resume")).json()["ramps"]["yolo26"]["paused"] == ""
    assert (await ordered(api, action="approve")).json()["ramps"]["yolo26"]["approved"] == 1.0
    ended = await ordered(api, action="abort", detector="yolo26")
    assert ended.json()["ramps"]["yolo26"]["phase"] == "ended"
    assert "no reason given" in ended.json()["ramps"]["yolo26"]["ended"]
    (last, *_) = (await api.get("/api/rollout/history", headers=VIEWER)).json()["changes"]
    assert last["who"] == "ops"


async def test_a_dry_run_is_one(api):
    assert (await ordered(api, **FORCED, dry_run=True)).json()["ramps"]["yolo26"]["dry_run"] is True


async def test_to_delete_a_ramp_is_to_abort_it(api):
    await ordered(api, **FORCED)
    ended = await api.delete(f"{RAMP}?detector=yolo26&reason=enough", headers=ADMIN)
    assert ended.status_code == 200
    assert "enough" in ended.json()["ramps"]["yolo26"]["ended"]
    assert problem(await api.delete(RAMP, headers=ADMIN))[0] == 409


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"action": "start", "detector": "yolo26"}, "certificate"),
        ({"action": "start", "force": True}, "--force needs a reason"),
        ({"action": "pause", "detector": "rtdetr"}, "no ramp that is on"),
        ({"action": "resume"}, "no ramp that is on"),
    ],
)
async def test_what_cannot_be_as_things_stand_is_a_409_in_a_sentence(api, order, words):
    status, detail = problem(await ordered(api, **order))
    assert status == 409
    assert words in detail


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({}, "must be one of start, pause, resume, approve, abort"),
        ({"action": "stop"}, "'stop'"),
        ({"action": ["start"]}, "must be one of"),
        ({"action": "start", "detector": "resnet"}, "there are rtdetr, yolo26"),
        ({"action": "start", "detector": 7}, "there is no detector '7'"),
        ({"action": "start", "steps": []}, "they must rise"),
        ({"action": "start", "steps": [0.5, 0.1]}, "they must rise"),
        ({"action": "start", "steps": [0.1, 2]}, "steps must be a list of numbers"),
        ({"action": "start", "steps": "0.1,1"}, "steps must be a list of numbers"),
        ({"action": "start", "steps": [True]}, "steps must be a list of numbers"),
        ({"action": "start", "steps": [i / 100 for i in range(1, 30)]}, "at most 20 steps"),
        ({"action": "start", "gates": [0.5] * 50_000}, "gates has 50,000 entries"),
        ({"action": "start", "reason": "a\x1b[2J"}, "reason holds '\\x1b'"),
        ({"action": "start", "reason": "a\nb"}, "one line of text"),
        ({"action": "start", "gates": [0]}, "gates must be a list of numbers"),
        ({"action": "start", "dry_run": 1}, "dry_run is '1'"),
        ({"action": "start", "force": "yes"}, "force is 'yes'"),
        ({"action": "start", "reason": 7}, "reason must be a text"),
        ({"action": "start", "colour": 1}, "'colour' is nothing that can be ordered"),
        ({"action": "pause", "steps": [1.0]}, "'steps' is for action start"),
    ],
)
async def test_an_order_that_no_ramp_could_obey_is_a_422_that_says_why(api, order, words):
    status, detail = problem(await ordered(api, **order))
    assert status == 422, detail
    assert words in detail
    assert (await api.get(RAMP, headers=VIEWER)).json() == {"ramps": {}}


async def test_orders_and_removals_are_an_admins_and_everything_else_a_viewers(api):
    for method, path in (("POST", RAMP), ("DELETE", RAMP), ("DELETE", f"{SAMPLES}?all=true")):
        assert problem(await api.request(method, path, headers=VIEWER))[0] == 403
        assert problem(await api.request(method, path))[0] == 401
    for path in (RAMP, SAMPLES, f"{SAMPLES}/abc.jpg", "/api/rollout/report", "/api/rollout/events"):
        assert problem(await api.get(path, headers=CALLER))[0] == 403
        assert problem(await api.get(path))[0] == 401


async def test_the_flags_show_each_ramp_and_a_change_by_hand_pauses_it(api):
    await ordered(api, **FORCED)
    changed = await api.put(
        "/api/rollout", headers={**ADMIN, "If-Match": "*"}, json={"overrides": {"yolo26": 0.5}}
    )
    ramp = changed.json()["ramps"]["yolo26"]
    assert ramp["paused"] == "ops changed the flags by hand"
    assert (ramp["tries"], ramp["asked"], ramp["effective"]) == (2, 0.5, 0.5)
    assert (await api.get("/api/rollout", headers=VIEWER)).json()["ramps"] == {"yolo26": await ramp_of(api)}


# --- The last look


async def test_the_last_look_stands_beside_its_ramp_and_beside_no_other(app, api):
    first = (await ordered(api, **FORCED)).json()["ramps"]["yolo26"]
    await looked(app, first["epoch"])
    look = (await ramp_of(api))["look"]
    assert (look["words"], look["answers"][0]["needed"]) == ("hold: 312 of about 1,414", 1414)
    assert (await api.get("/api/rollout", headers=VIEWER)).json()["ramps"]["yolo26"]["look"] == look
    await ordered(api, action="abort")
    assert (await ramp_of(api))["look"] == look, "an ended ramp can still be looked at"
    await ordered(api, **FORCED)
    assert (await ramp_of(api))["look"] is None, "that was said of the ramp before"


async def test_a_look_that_cannot_be_read_is_none_at_all(app, api):
    await ordered(api, **FORCED)

    def keep(store: Store) -> None:
        store.lead("a leader of this test", 60)
        store.keep(look_record("yolo26"), '{"detector": 7', "a leader of this test")

    await rollout_of(app).ask(keep)
    assert (await ramp_of(api))["look"] is None


async def test_flags_are_told_without_looks_while_the_store_is_away(app, api, monkeypatch):
    epoch = (await ordered(api, **FORCED)).json()["ramps"]["yolo26"]["epoch"]
    await looked(app, epoch)

    async def away(*_: object) -> None:
        raise StoreAway("Gone.")

    monkeypatch.setattr(rollout_of(app), "ask", away)
    shown = await api.get("/api/rollout", headers=VIEWER)
    assert shown.status_code == 200
    assert shown.json()["ramps"]["yolo26"]["look"] is None
    assert problem(await api.get(SAMPLES, headers=VIEWER)) == (503, "Gone.")
    export = await api.get("/api/rollout/history?format=jsonl", headers=VIEWER)
    assert problem(export) == (503, "Gone."), "half a file would read as a short history"


# --- The history


async def test_the_history_of_one_detector_leaves_out_what_concerns_the_other_only(api):
    async def change(**flags: object) -> None:
        answer = await api.put("/api/rollout", headers={**ADMIN, "If-Match": "*"}, json=flags)
        assert answer.status_code == 200, answer.text

    await change(overrides={"rtdetr": 0.2})
    await change(overrides={"rtdetr": 0.2, "yolo26": 0.5})
    await ordered(api, **{**FORCED, "detector": "rtdetr"})
    await change(fraction=0.3)

    async def versions(query: str) -> list[int]:
        answer = await api.get(f"/api/rollout/history?{query}", headers=VIEWER)
        return [one["version"] for one in answer.json()["changes"]]

    assert await versions("") == [5, 4, 3, 2, 1]
    assert await versions("detector=yolo26") == [5, 4, 3, 1], (
        "a ramp's start turns the comparisons on, for both"
    )
    assert await versions("detector=rtdetr") == [5, 4, 2, 1]
    assert await versions("detector=rtdetr&limit=2") == [5, 4]


async def test_the_whole_history_is_exported_a_page_at_a_time_newest_first(app, api, monkeypatch):
    monkeypatch.setattr(history_route, "MAX_ROWS", 3)
    asked = []
    ask = rollout_of(app).ask

    async def counted(work):
        answer = await ask(work)
        asked.append(answer)
        return answer

    monkeypatch.setattr(rollout_of(app), "ask", counted)
    for number in range(7):
        await api.put("/api/rollout", headers={**ADMIN, "If-Match": "*"}, json={"fraction": number / 10})
    asked.clear()
    answer = await api.get("/api/rollout/history?format=jsonl", headers=VIEWER)
    assert answer.headers["content-type"] == "application/x-ndjson"
    changes = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["version"] for one in changes] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert changes == (await api.get("/api/rollout/history", headers=VIEWER)).json()["changes"]
    assert [len(page) for page in asked[:4]] == [1, 3, 3, 1]
    short = await api.get("/api/rollout/history?format=jsonl&limit=4", headers=VIEWER)
    assert len(short.text.splitlines()) == 4
    for bad in ("format=csv", "format=jsonl&limit=0", "limit=1001", "detector=x"):
        assert problem(await api.get(f"/api/rollout/history?{bad}", headers=VIEWER))[0] == 422


async def test_large_changes_are_read_and_sent_a_few_at_a_time(app, api, monkeypatch):
    """The thread that reads them watches the flags, and what was read is held."""
    monkeypatch.setattr(history_route, "PAGE_BYTES", 200_000)
    pins = {
        f"camera-{'x' * 60}-{number:04}": "legacy" for number in range(600)
    }  # 100 KB a change, of two states
    for number in range(9):
        changed = {"shadow": number / 100, "pins": pins}
        await api.put("/api/rollout", headers={**ADMIN, "If-Match": "*"}, json=changed)
    pages = []
    ask = rollout_of(app).ask

    async def counted(work):
        pages.append(await ask(work))
        return pages[-1]

    monkeypatch.setattr(rollout_of(app), "ask", counted)
    for query in ("limit=1000", "format=jsonl", "detector=yolo26&limit=1000"):
        pages.clear()
        assert (await api.get(f"/api/rollout/history?{query}", headers=VIEWER)).status_code == 200
        assert max(map(len, pages)) <= 2
        assert sum(map(len, pages)) == 10


async def test_the_history_as_json_is_streamed_and_encoded_apart_from_the_requests(app, api, monkeypatch):
    """What it holds is a page; encoding thousands of pins on the event loop would stop every other request."""
    threads = set()
    encoded = history_route._encoded

    def noted(change):
        threads.add(threading.current_thread())
        return encoded(change)

    monkeypatch.setattr(history_route, "_encoded", noted)
    async with api.stream("GET", "/api/rollout/history", headers=VIEWER) as answer:
        assert "content-length" not in answer.headers
        assert [one["version"] for one in json.loads(await answer.aread())["changes"]] == [1]
    assert threads
    assert threading.current_thread() not in threads
    assert (await api.head("/api/rollout/history", headers=VIEWER)).content == b""


# --- Samples


@pytest.fixture
async def sampled(app, api) -> httpx.AsyncClient:
    """Three pairs of two cameras."""

    def add(store: Store) -> None:
        for name, camera, kind, label in (
            ("a1", "yard", "missed", "person"), ("a2", "yard", "extra", "car"), ("a3", "door", "missed", "car"),
        ):  # fmt: skip
            sample = Sample(
                name,
                1.0,
                "yolo26",
                camera,
                "",
                "day",
                "1",
                (kind,),
                (label,),
                [[1, 2, 3, 4, 0.9, 0]],
                [],
                640,
                480,
            )
            store.add_sample(sample, sample_jpeg(), SampleLimits(10, 10_000_000, 1e12))

    await rollout_of(app).ask(add)
    return api


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["a3", "a2", "a1"]),
        ("?camera=yard", ["a2", "a1"]),
        ("?kind=missed&class=person", ["a1"]),
        ("?detector=yolo26&limit=1", ["a3"]),
        ("?detector=rtdetr", []),
    ],
)
async def test_samples_are_listed_newest_first_by_detector_camera_kind_and_class(sampled, query, ids):
    answer = await sampled.get(SAMPLES + query, headers=VIEWER)
    assert [one["id"] for one in answer.json()["samples"]] == ids
    assert answer.headers["cache-control"] == "private, no-store"


async def test_a_samples_picture_is_for_who_has_a_key_and_kept_by_nobody(sampled):
    (first, *_) = (await sampled.get(SAMPLES, headers=VIEWER)).json()["samples"]
    picture = await sampled.get(first["picture"], headers=VIEWER)
    assert picture.content == sample_jpeg()
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["cache-control"] == "private, no-store"
    assert picture.headers["x-content-type-options"] == "nosniff"
    for unknown in ("a9", "..%2f..%2fetc", "%00", "a" * 100, "ä"):
        answer = await sampled.get(f"{SAMPLES}/{unknown}.jpg", headers=VIEWER)
        assert answer.status_code == 404
        assert "x-content-type-options" in answer.headers or "%2f" in unknown


async def test_samples_are_removed_by_camera_or_all_together_and_never_by_a_slip(sampled):
    for slip in ("", "?all=yes", "?all=true&camera=yard", "?camera="):
        assert problem(await sampled.delete(SAMPLES + slip, headers=ADMIN))[0] == 422
    assert (await sampled.delete(f"{SAMPLES}?camera=yard", headers=ADMIN)).json() == {"removed": 2}
    left = (await sampled.get(SAMPLES, headers=VIEWER)).json()["samples"]
    assert [one["id"] for one in left] == ["a3"]
    assert (await sampled.get(f"{SAMPLES}/a1.jpg", headers=VIEWER)).status_code == 404
    assert (await sampled.delete(f"{SAMPLES}?all=true", headers=ADMIN)).json() == {"removed": 1}
    assert (await sampled.delete(f"{SAMPLES}?all=true", headers=ADMIN)).json() == {"removed": 0}


# --- The report


async def test_the_report_is_a_document_or_a_page_that_may_ask_for_nothing(sampled):
    await ordered(sampled, **FORCED)
    report = await sampled.get("/api/rollout/report?detector=yolo26", headers=VIEWER)
    assert (report.json()["detector"], report.json()["ramp"]["phase"]) == ("yolo26", "baseline")
    page = await sampled.get("/api/rollout/report?detector=yolo26&format=html", headers=VIEWER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (
        page.headers["content-security-policy"]
        == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    )
    assert page.headers["cache-control"] == "private, no-store"
    assert page.text.startswith("<!doctype html>")
    assert (await sampled.get("/api/rollout/report", headers=VIEWER)).json()["detector"] == "rtdetr"
    assert problem(await sampled.get("/api/rollout/report?format=pdf", headers=VIEWER))[0] == 422
    assert problem(await sampled.get("/api/rollout/report?detector=x", headers=VIEWER))[0] == 422
