"""What a page at night must not do: mislead, lose what was typed, fail in silence, or run what somebody else wrote.

Its backend is scripted: it says what a real one says once a year, and what none should ever say.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse, JSONResponse

from tests.browser.conftest import Opener
from tests.browser.page import ALL, Console
from tests.browser.scripted_backend import (
    DETECTOR,
    Backend,
    change_of,
    problem,
    rollout_of,
    sample_of,
    scripted_backend,
    traffic_of,
)

EVIL = "<img src=x onerror=window.pwned=1>\"'&</script><script>window.pwned=1</script>"
INHERITED = ("constructor", "__proto__", "hasOwnProperty")
MINUTE_MS = 60_000


@pytest.fixture
def backend() -> Iterator[Backend]:
    with scripted_backend() as backend:
        yield backend


@pytest.fixture
def page(backend: Backend, a_page: Opener) -> Console:
    """Not opened yet: a test says first what the backend says."""
    return a_page(backend.url)


def evaluated(page: Console, module: str, expression: str) -> Any:
    """Of what a module of the console exports, as `it`."""
    return page.page.evaluate(f"import('/console/{module}').then((it) => ({expression}))")


def until(page: Console, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        page.page.wait_for_timeout(20)


def banners(page: Console) -> Any:
    return page.page.locator("#banners")


def roll_back(page: Console) -> None:
    page.roll_back.click()
    page.button("Roll back now").click()


# --- What comes from outside ---------------------------------------------------------------------------------


def test_what_others_wrote_is_only_ever_text(backend: Backend, page: Console) -> None:
    backend.me |= {"name": EVIL, "detectors": ["rtdetr", EVIL]}
    backend.changes = [change_of(7, who=EVIL, reason=EVIL, figures={EVIL: [{EVIL: EVIL}]})]
    backend.samples = [sample_of(1, camera=EVIL, labels=[EVIL], kinds=[EVIL], light=EVIL, names={"0": EVIL})]
    backend.rollout = rollout_of(
        effective={"rtdetr": 0.1, EVIL: 0.1}, workers=[{"worker": EVIL, "version": 1, "at": 1.0}]
    )
    backend.first_events = [
        ("rollout", backend.rollout),
        ("traffic", traffic_of(time.time(), **{EVIL: DETECTOR})),
    ]
    backend.answers["POST /api/rollout/rollback"] = lambda _: problem(503, EVIL)
    page.watch.expect("status of 503", "404")
    page.open("a-key")
    page.button("Figures").click()
    roll_back(page)
    expect(page.outcome).to_contain_text(EVIL)
    expect(page.newest).to_contain_text(EVIL)
    page.page.get_by_role("button", name="Show in large").click()
    expect(page.dialog).to_contain_text(EVIL)
    assert page.page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.page.evaluate("window.pwned") is None


def test_what_is_called_as_every_table_inherits_is_a_name_like_any_other(
    backend: Backend, page: Console
) -> None:
    names = ["rtdetr", *INHERITED]
    backend.me["detectors"] = names
    backend.rollout = rollout_of(
        fraction=0.25, effective=dict.fromkeys(names, 0.25), pins=dict.fromkeys(INHERITED, "legacy")
    )
    look = {
        "detector": "__proto__", "epoch": "a.1", "at": 1.0, "words": "", "waits_for": [], "fault": "", "answers": [],
        "eta_s": None, "trail": [],
    }  # fmt: skip
    backend.first_events = [("rollout", backend.rollout), ("look", look)]
    page.open("a-key")
    for name in names:
        expect(page.fader(f"Share of Triton, {name}")).to_have_value("25")
        expect(page.page.get_by_role("button", name=f"Start a ramp of {name}", exact=True)).to_be_visible()
    page.applied(50, name="Share of Triton, __proto__")
    assert backend.asked_for("PUT", "/api/rollout")[0]["overrides"] == {"__proto__": 0.5}
    expect(banners(page)).to_be_empty()


def test_another_program_at_the_address_is_said_to_be_one(backend: Backend, page: Console) -> None:
    backend.answers["GET /api/me"] = lambda _: HTMLResponse("<h1>Please sign in</h1>")
    page.visit("a-key")
    expect(banners(page)).to_contain_text("something else than the backend answers here")
    del backend.answers["GET /api/me"]
    expect(page.line).to_have_text("live")
    expect(banners(page)).to_be_empty()


# --- Keys ------------------------------------------------------------------------------------------------------


def test_a_link_with_another_key_makes_another_person_of_the_page(backend: Backend, page: Console) -> None:
    """Or what somebody does would stand in the history under a name that the page does not show."""
    backend.me |= {"name": "eye", "role": "viewer"}
    page.open("viewers-key")
    backend.me |= {"name": "ops", "role": "admin"}
    page.page.evaluate("location.hash = '#key=admins-key'")
    expect(page.page.locator("#who")).to_have_text("ops, admin")
    expect(page.roll_back).to_be_enabled()
    assert page.page.url == backend.url + "/"
    roll_back(page)
    expect(page.outcome).to_contain_text("Everything is on legacy")
    assert backend.asked_for("POST", "/api/rollout/rollback")[0]["key"] == "admins-key"


def test_a_viewer_can_enter_another_key_without_a_link(backend: Backend, page: Console) -> None:
    backend.me |= {"role": "viewer"}
    page.open("viewers-key")
    page.button("Enter another key").click()
    expect(page.page.get_by_label("Key")).to_be_focused()
    assert page.page.evaluate("sessionStorage.getItem('crossfade-key')") is None


def test_what_can_be_no_key_is_said_to_be_none(backend: Backend, page: Console) -> None:
    """No header can carry it: it would read as a backend that is away, for ever."""
    page.visit("ключ")
    field = page.page.get_by_label("Key")
    field.fill("ключ")
    field.press("Enter")
    expect(page.region("Who is it?")).to_contain_text("That is no key")
    field.fill("  a-key ")
    field.press("Enter")
    expect(page.line).to_have_text("live")
    assert backend.asked_for("GET", "/api/me")[0]["key"] == "a-key"


# --- Stale, and not known --------------------------------------------------------------------------------------


def test_after_an_hours_sleep_the_page_is_not_live_but_lost_and_comes_back(
    backend: Backend, page: Console
) -> None:
    """And what failed before the sleep is no failure of these minutes."""
    page.page.clock.install()
    failing = DETECTOR | {"unserved": {"unavailable": 7}}
    now = time.time()
    backend.first_events = [
        ("rollout", backend.rollout),
        ("traffic", traffic_of(now - 4, rtdetr=DETECTOR | {"unserved": {"unavailable": 0}})),
        ("traffic", traffic_of(now - 2, rtdetr=failing)),
    ]
    page.open("a-key")
    told = page.page.get_by_role("region", name="Traffic of rtdetr")
    expect(told).to_contain_text("Callers without detections: 7")
    backend.first_events = [("rollout", backend.rollout)] + [
        ("traffic", traffic_of(now + 3600 + n, rtdetr=failing)) for n in (0, 2)
    ]
    page.page.clock.fast_forward(60 * MINUTE_MS)
    expect(page.line).to_contain_text("lost 60 min ago")
    expect(page.line).to_have_text("live")
    expect(told).to_contain_text("Callers without detections: none")


def test_a_line_that_says_nothing_is_not_called_live(backend: Backend, page: Console) -> None:
    page.page.clock.install()
    page.open("a-key")
    page.page.clock.fast_forward(12_000)
    expect(page.line).to_contain_text("silent, last heard 1")
    backend.tell("traffic", traffic_of(time.time()))
    expect(page.line).to_have_text("live")


def test_how_long_ago_something_was_is_told_by_the_backends_clock(backend: Backend, page: Console) -> None:
    """A browser whose clock is five minutes behind would call every look a fresh one."""
    there = time.time() + 300
    ramp = {
        "id": "a", "steps": [0.1], "phase": "running", "step": 0, "tries": 0, "paused": "", "dry_run": False,
        "gates": [], "approved": 0.0, "forced": "", "ended": "", "rolled_back": False, "epoch": "a.0", "fraction": 0.1,
        "asked": 0.1, "effective": 0.1,
    }  # fmt: skip
    look = {
        "detector": "rtdetr", "epoch": "a.0", "at": there - 240, "words": "hold", "waits_for": [], "fault": "",
        "answers": [], "eta_s": None, "trail": [],
    }  # fmt: skip
    backend.rollout = rollout_of(ramps={"rtdetr": ramp | {"look": look}})
    backend.first_events = [("traffic", traffic_of(there)), ("rollout", backend.rollout)]
    page.open("a-key")
    expect(page.region("Ramp")).to_contain_text("looked at 4 min ago")
    expect(page.region("Switch")).to_contain_text("the backend's is 5 minutes ahead of this machine's")


def test_a_backend_that_never_read_its_flags_is_not_a_page_of_dashes(backend: Backend, page: Console) -> None:
    page.watch.expect("status of 503")
    page.page.clock.install()
    backend.first_events = [("traffic", traffic_of(time.time()))]
    backend.answers["GET /api/rollout"] = lambda _: problem(503, "The store was never read.")
    page.visit("a-key")
    expect(page.line).to_have_text("live")
    page.page.clock.fast_forward(4000)
    expect(banners(page)).to_contain_text("The flags are not known: The store was never read.")
    del backend.answers["GET /api/rollout"]
    page.page.clock.fast_forward(4000)
    expect(page.master).to_have_value("10")
    expect(banners(page)).to_be_empty()


def test_a_part_that_fails_says_so_instead_of_keeping_old_figures(backend: Backend, page: Console) -> None:
    page.watch.expect("uncaught", "workers")
    page.open("a-key")
    broken = rollout_of(8)
    del broken["workers"]
    backend.tell("rollout", broken)
    expect(banners(page)).to_contain_text("A part of this page failed, and may show what is not so any more")


def test_a_backend_of_another_version_is_said_to_be_one(backend: Backend, page: Console) -> None:
    page.page.clock.install()
    page.open("a-key")
    backend.me["console"] = "2"
    backend.hang_up()
    expect(page.line).to_contain_text("lost")
    page.page.clock.fast_forward(2500)
    expect(banners(page)).to_contain_text("this page is of the one before")
    page.button("Load this page again").click()
    expect(page.line).to_have_text("live")
    expect(banners(page)).to_be_empty()


def test_what_was_not_counted_yet_is_not_called_none(backend: Backend, page: Console) -> None:
    page.open("a-key")
    told = page.page.get_by_role("region", name="Traffic of rtdetr")
    expect(told).to_contain_text("from the second reading on")
    expect(told).not_to_contain_text("none")
    backend.tell("traffic", traffic_of(time.time() + 2))
    expect(told).to_contain_text("Callers without detections: none")


# --- Changes ---------------------------------------------------------------------------------------------------


def test_an_order_that_was_obeyed_is_not_called_refused_because_the_news_of_it_failed(
    backend: Backend, page: Console
) -> None:
    page.watch.expect("status of 503")
    page.open("a-key")
    backend.answers["GET /api/rollout"] = lambda _: problem(503, "The store is away.")
    page.button("Start a ramp of rtdetr").click()
    page.button("Start it").click()
    expect(page.dialog).to_have_count(0)
    until(page, lambda: backend.asked_for("GET", "/api/rollout"))
    page.page.wait_for_timeout(100)
    expect(banners(page)).to_be_empty()


def test_a_change_that_nobody_answered_may_have_been_made(backend: Backend, page: Console) -> None:
    page.watch.expect("Failed to load")
    page.open("a-key")
    page.page.route("**/api/rollout/ramp", lambda route: route.abort())
    page.button("Start a ramp of rtdetr").click()
    page.button("Start it").click()
    expect(banners(page)).to_contain_text("was not told to start, as far as is known")


def test_what_a_ramp_was_asked_to_be_stands_there_when_it_was_refused(
    backend: Backend, page: Console
) -> None:
    page.watch.expect("status of 409")
    backend.answers["POST /api/rollout/ramp"] = lambda _: problem(409, "There is no certificate.")
    page.open("a-key")
    page.button("Start a ramp of rtdetr").click()
    page.dialog.get_by_label("Steps that ask first").fill("None")
    page.dialog.get_by_role("textbox", name="Reason").fill("certified on Monday")
    page.button("Start it").click()
    page.button("Change it").click()
    expect(page.dialog.get_by_label("Steps that ask first")).to_have_value("none")
    page.button("Start it").click()
    expect(banners(page)).to_contain_text("There is no certificate.")
    assert [one["gates"] for one in backend.asked_for("POST", "/api/rollout/ramp")] == [[], []]


def test_no_rollback_is_refused_for_a_sign_in_its_reason(backend: Backend, page: Console) -> None:
    page.open("a-key")
    page.roll_back.click()
    field = page.dialog.get_by_label("Reason")
    field.evaluate("(field) => { field.value = 'cars\\tare\\u2028missing '; }")
    field.press("Enter")
    expect(page.outcome).to_contain_text("Everything is on legacy")
    assert backend.asked_for("POST", "/api/rollout/rollback")[0]["reason"] == "cars are missing"


def test_a_share_is_what_was_typed(backend: Backend, page: Console) -> None:
    page.open("a-key")
    page.number(ALL).fill("33.3")
    page.apply.dblclick()
    expect(page.apply).to_be_hidden()
    assert [one["fraction"] for one in backend.asked_for("PUT", "/api/rollout")] == [0.333]
    page.number(ALL).fill("50")
    page.number(ALL).fill("33.3")
    expect(page.apply).to_be_hidden()


def test_what_is_moved_while_something_is_sent_is_kept(backend: Backend, page: Console) -> None:
    page.open("a-key")
    go_on = threading.Event()
    backend.answers["PUT /api/rollout"] = lambda sent: (
        go_on.wait(15), backend.usual("PUT", "/api/rollout", sent),
    )[1]  # fmt: skip
    page.set_share(25)
    page.apply.click()
    expect(page.button("Applying…")).to_be_visible()
    page.set_share(40)
    go_on.set()
    expect(page.apply).to_be_visible()
    expect(page.number(ALL)).to_have_value("40")
    assert [one["fraction"] for one in backend.asked_for("PUT", "/api/rollout")] == [0.25]


def test_a_rollback_that_only_this_machine_knows_says_so_until_it_is_not_so_any_more(
    backend: Backend, page: Console
) -> None:
    page.watch.expect("status of 503")
    backend.answers["POST /api/rollout/rollback"] = lambda _: problem(503, "Away.", rolled_back_here=True)
    page.open("a-key")
    backend.tell("rollout", rollout_of(stale=True))
    expect(page.line).to_have_text("live, but the store is away")
    roll_back(page)
    expect(page.outcome).to_contain_text("but the store could not be told")
    backend.tell("rollout", rollout_of(9))
    expect(page.outcome).to_contain_text("It is back, and Triton has a share.")
    backend.tell("rollout", rollout_of(10, effective={"rtdetr": 0.0, "yolo26": 0.0}))
    expect(page.outcome).to_contain_text("Everything is on legacy: acknowledged by 1 of 1 workers.")


def undo_offered(backend: Backend, page: Console) -> None:
    page.page.clock.install()
    page.open("a-key")
    backend.changes = [change_of(8)]
    roll_back(page)
    expect(page.button("Undo")).to_be_visible()
    page.page.clock.pause_at(time.time() + 5)
    page.button("Undo").press("Enter")
    expect(page.dialog).to_contain_text("all detectors 0 % → 10 %")


def test_enter_hit_twice_does_not_undo_what_nobody_can_have_read(backend: Backend, page: Console) -> None:
    """The roll back itself may be sent so."""
    undo_offered(backend, page)
    page.page.keyboard.press("Enter")
    expect(page.dialog).to_be_visible()
    page.page.clock.run_for(1000)
    page.page.keyboard.down("Enter")
    expect(page.dialog).to_have_count(0)
    until(page, lambda: backend.asked_for("PUT", "/api/rollout"))


def test_enter_that_is_held_down_confirms_nothing(backend: Backend, page: Console) -> None:
    page.open("a-key")
    page.roll_back.focus()
    for _ in range(3):  # as a keyboard repeats it
        page.page.keyboard.down("Enter")
    expect(page.dialog).to_be_visible()
    assert backend.asked_for("POST", "/api/rollout/rollback") == []
    page.page.keyboard.up("Enter")
    page.page.keyboard.press("Enter")
    expect(page.outcome).to_contain_text("Everything is on legacy")


def test_what_fails_inside_a_pictures_dialog_is_not_said_behind_it(backend: Backend, page: Console) -> None:
    page.watch.expect("status of 503")
    backend.samples = [sample_of(1)]
    backend.answers["DELETE /api/rollout/samples"] = lambda _: problem(503, "The store is away.")
    page.open("a-key")
    page.page.get_by_role("button", name="Show in large").click()
    page.button("Delete all of camera yard…").click()
    page.button("Delete for good").click()
    expect(banners(page)).to_contain_text("The pictures were not deleted: The store is away.")
    expect(page.dialog).to_have_count(0)


def test_a_picture_in_the_clipboard_beside_a_text_is_not_sent(backend: Backend, page: Console) -> None:
    """Spreadsheets copy both; who pastes into a reason means the text."""
    page.open("a-key")
    page.set_share(25)
    paste = """(target) => {
      const data = new DataTransfer();
      data.items.add(new File(["x"], "cells.png", { type: "image/png" }));
      target.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
    }"""
    page.region("Crossfader").get_by_label("Reason").evaluate(paste)
    page.page.locator("body").evaluate(paste)
    expect(page.region("Try a picture").get_by_role("figure")).to_have_count(2)
    assert len(backend.asked_for("POST", "/api/detect")) == 2  # of the second paste: one a side


# --- Many ------------------------------------------------------------------------------------------------------


def test_a_thousand_workers_leave_room_for_the_rest(backend: Backend, page: Console) -> None:
    workers = [{"worker": f"crossfade-backend-7f9c-{n:04d}", "version": 7, "at": 1.0} for n in range(1000)]
    backend.rollout = rollout_of(8, workers=workers)
    answer = backend.rollout | {"version": 9, "pending": [one["worker"] for one in workers]}
    backend.answers["POST /api/rollout/rollback"] = lambda _: JSONResponse(answer, 202)
    page.open("a-key")
    roll_back(page)
    expect(page.outcome).to_contain_text(
        "not confirmed by: crossfade-backend-7f9c-0000, crossfade-backend-7f9c-0001"
    )
    expect(page.outcome).to_contain_text("and 995 more (0 of 1000 workers have)")
    for part in (page.outcome, page.region("Switch")):
        assert part.evaluate("(part) => part.clientHeight") < 600


def test_a_worker_that_went_a_moment_ago_is_named_after_a_quiet_night(
    backend: Backend, page: Console
) -> None:
    """The backend tells of its workers when one comes or goes, and of none in between."""
    page.page.clock.install()
    two = [{"worker": name, "version": 7, "at": 1.0} for name in ("nvr-1", "nvr-2")]
    backend.first_events = [("rollout", rollout_of(workers=two)), ("traffic", traffic_of(time.time()))]
    page.open("a-key")
    for _ in range(2):
        page.page.clock.fast_forward(20_000)
        backend.tell("traffic", traffic_of(time.time()))
        expect(page.line).to_have_text("live")
    backend.tell("rollout", rollout_of())
    expect(page.region("Switch")).to_contain_text("1 of 1 obey this version")
    roll_back(page)
    expect(page.outcome).to_contain_text("nvr-2 is not heard of any more")
    expect(page.outcome).to_contain_text(
        "acknowledged by 1 of 2 workers"
    )  # who went is not taken out of the sum


def test_six_tabs_that_nobody_looks_at_do_not_keep_one_from_rolling_back(
    backend: Backend, page: Console
) -> None:
    """A browser opens six connections to a host, and each tab listens on one."""
    page.page.add_init_script(
        "const timeout = AbortSignal.timeout; AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 8);"
    )
    context = page.page.context
    for _ in range(5):
        behind = context.new_page()
        behind.add_init_script("Object.defineProperty(document, 'hidden', { get: () => true })")
        behind.goto(f"{backend.url}/#key=a-key")
        expect(behind.locator("#line-words")).to_have_text("live")
    page.visit("a-key")
    until(page, lambda: backend.listening == 6)
    roll_back(page)
    expect(page.outcome).to_contain_text("Everything is on legacy")
    expect(behind.locator("#line-words")).to_contain_text("lost")
    expect(behind.locator("#standing-line")).to_contain_text("another tab needed the connection")


def test_reading_many_snapshots_again_is_not_comparing_them_again(page: Console) -> None:
    """Each of fifty detectors asks for the same runs, every two seconds."""
    page.open("a-key")
    first, again = evaluated(
        page, "rates.js",
        """(() => {
          const side = { requests: { ok: 1 }, durations: Array(20).fill(1), attempts: { ok: 1 } };
          const one = { sides: { legacy: side, triton: side }, unserved: {}, fallbacks: [], compared: {} };
          const detectors = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`d${n}`, one]));
          const rest = { detectors, edges_s: [], shed: {}, retries: 0 };
          const snapshots = Array.from({ length: 150 }, (_, n) => ({ at: 2 * n, ...rest }));
          const taken = () => {
            const began = performance.now();
            it.runs(snapshots);
            return performance.now() - began;
          };
          return [taken(), taken()];
        })()""",
    )  # fmt: skip
    assert again < first / 2


def test_all_classes_that_lately_differed_can_be_chosen(backend: Backend, page: Console) -> None:
    backend.samples = [sample_of(n, labels=["bear" if n == 1 else "person"]) for n in range(40, 0, -1)]
    page.open("a-key")
    expect(page.page.get_by_role("figure")).not_to_have_count(0)
    assert int(backend.asked_for("GET", "/api/rollout/samples")[0]["limit"]) >= 100
    expect(page.page.get_by_role("combobox", name="Class").locator("option")).to_have_text(
        ["all", "bear", "person"]
    )


def test_a_long_history_is_given_the_time_that_it_takes(backend: Backend, page: Console) -> None:
    page.page.add_init_script("""
      const timeout = AbortSignal.timeout;
      window.timeouts = [];
      AbortSignal.timeout = (ms) => { window.timeouts.push(ms); return timeout.call(AbortSignal, ms); };
    """)
    page.open("a-key")
    with page.page.expect_download():
        page.button("Save all as JSON Lines").click()
    assert max(page.page.evaluate("window.timeouts")) >= 5 * MINUTE_MS


# --- In words, and for everybody -------------------------------------------------------------------------------


def test_shares_and_headroom_are_said_in_words_that_mean_something(page: Console) -> None:
    """All but a little is not all; and what carries nothing carries it 817,000 times."""
    page.page.goto(page.url)
    shares = {0.333: "33.3 %", 0.9996: "99.96 %", 0.99999999: "99.9999 %", 1: "100 %", 0.004: "0.4 %"}
    told = evaluated(page, "words.js", f"{json.dumps(list(shares))}.map((share) => it.percent(share))")
    assert told == list(shares.values())
    headrooms = {
        817_000: "Legacy could carry over 100 times what is asked now: hardly anything is.",
        3.14: "Legacy could carry 3.14 times what is asked now.",
        0.5: "Legacy could carry only 0.5 times what is asked now: too little, if Triton fails.",
    }
    told = evaluated(page, "traffic.js", f"{json.dumps(list(headrooms))}.map(it.headroomWords)")
    assert told == list(headrooms.values())


def overflowing(page: Page) -> list[str]:
    return list(
        page.evaluate(
            """[...document.querySelectorAll(".panel, .panel *, .docs *")].filter((one) => one.clientWidth
              && one.getBoundingClientRect().right > innerWidth + 0.5
              && !one.closest(".frame, pre, .history-frame, svg"))
              .map((one) => one.outerHTML.slice(0, 80))"""
        )
    )


def test_it_fits_a_phone_and_a_page_that_is_magnified(backend: Backend, page: Console) -> None:
    backend.rollout = rollout_of(
        fraction=0.333, overrides={"rtdetr": 0.5}, effective={"rtdetr": 0.5, "yolo26": 0.333}
    )
    page.open("a-key")
    expect(page.number(ALL)).to_have_value("33.3")
    for width, height in ((320, 256), (360, 740), (640, 400)):
        page.page.set_viewport_size({"width": width, "height": height})
        assert overflowing(page.page) == []
        wide, seen = page.number(ALL).evaluate("(field) => [field.scrollWidth, field.clientWidth]")
        assert wide <= seen
        expect(page.roll_back).to_be_in_viewport()


def test_with_a_readers_own_colours_the_switch_still_shows_how_it_stands(page: Console) -> None:
    page.page.emulate_media(forced_colors="active")
    page.open("a-key")
    knob = page.page.locator(".knob")
    on = knob.screenshot()
    page.switch.evaluate("(box) => { box.checked = false; }")
    assert knob.screenshot() != on


# --- /docs -----------------------------------------------------------------------------------------------------


def test_the_apis_page_is_of_this_backend_alone_and_leaves_the_key_where_it_is(
    backend: Backend, page: Console
) -> None:
    page.open("a-key")
    asked = len(backend.asked)
    page.page.goto(f"{backend.url}/docs")
    expect(page.page.locator("#found")).to_contain_text("routes")
    assert [(path, sent["key"]) for _, path, sent in backend.asked[asked:]] == [("/openapi.json", None)]
    assert page.watch.strangers == []


def test_the_apis_page_finds_a_route_and_says_who_may_and_how(backend: Backend, page: Console) -> None:
    page.page.goto(f"{backend.url}/docs")
    page.page.get_by_role("searchbox", name="Find").fill("rollback admin")
    expect(page.page.locator("#found")).to_have_text("1 of 23 routes, 0 schemas")
    card = page.page.locator("details.card:visible")
    expect(card).to_have_attribute("open", "")
    expect(card.locator(".role")).to_have_text("admin")
    line = (
        """curl -H "X-API-Key: $KEY" -H 'Content-Type: application/json' -d '{"reason":"night shift"}' """
        f"'{backend.url}/api/rollout/rollback'"
    )
    expect(card.locator(".curl code")).to_have_text(line)
    card.get_by_role("link", name="RolledBack").first.click()
    schema = page.page.locator("[id='schema RolledBack']")
    expect(schema).to_have_attribute("open", "")
    expect(schema).to_contain_text("workers[].version")
    expect(schema).to_contain_text("number, from 0 to 1")


def test_the_apis_page_fits_a_phone(backend: Backend, page: Console) -> None:
    page.page.set_viewport_size({"width": 360, "height": 740})
    page.page.goto(f"{backend.url}/docs#POST%20/api/detect")
    expect(page.page.locator("[id='POST /api/detect']")).to_have_attribute("open", "")
    assert overflowing(page.page) == []
