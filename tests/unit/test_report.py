"""What the report says of what was counted, and that its page can be shown to anybody: escaped, whole, and small."""

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from ai.core.sample import sample_jpeg
from backend.ramp.evidence import Asked, Counted, band
from backend.ramp.looks import Answer, Look, Point, look_record
from backend.report.about import parity_of
from backend.report.page import page
from backend.report.report import Material, gather, report_of, worst
from backend.rollout.books import bin_of
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, Sample

HOSTILE = "\"><script>alert(1)</script>'&"
RAMP = Ramp("r1", (0.1, 0.5, 1.0), phase="running", step=1, tries=3, started_at=1000.0, slow_bin=bin_of(0.09))
PARITY = {
    "parity.passed": "yes", "parity.difference": "-0.00004", "parity.pictures": "400", "parity.made_at": "today",
    "parity.about": "yolo26_jpeg 1", "parity.problem": "",
}  # fmt: skip


def answer(question="disagreement", well=0.0, ill=0.0, worse=1, same=299, better=0, bound=0.01):
    counted = Counted(worse, same, better)
    low, high = band(Asked(bound, -1), counted, 0.05)
    return Answer(question, worse, same, better, bound, counted.rate, low, high, well, ill, 3.0, 7.0, 423)


def look(*answers, **more):
    trail = tuple(Point(n, 1 / n, -0.02, 20 / n) for n in (25, 100, 300))
    words = "hold: 312 of about 1,414 samples"
    return Look("yolo26", "r1.3", 2000.0, "hold", words, answers=answers, trail=trail, **more)


def sample(name="a", kinds=("missed",), camera="gate", at=1500.0, epoch="r1.2"):
    boxes = [[10, 10, 60, 90, 0.9, 0]]
    return Sample(name, at, "yolo26", camera, epoch, "day", "3", kinds, ("person",), boxes, [], 640, 360)


def books():
    times = Counter(f"time.legacy.{bin_of(0.05 + i / 5000)}" for i in range(100) for _ in range(3))
    times.update(f"time.triton.{bin_of(0.01 + i / 9000)}" for i in range(100) for _ in range(2))
    first = {
        "disagreement.0": 200, "disagreement.1": 2, "errors.0": 500, "errors.1": 1, "error.unavailable": 1,
        "compared.same": 230, "compared.different": 12, "dropped.full": 3, "version.3": 500,
        "class.person": 150, "camera.gate": 120, "camera.yard": 82, "light.day": 150, "light.infrared": 52,
        "seen.day.person": 400, "seen.infrared.person": 90, "seen.day.car": 70,
        "kind.missed.day.person": 5, "kind.extra.infrared.person": 2, "kind.swapped.day.car": 1, "swap.car/truck": 1,
    }  # fmt: skip
    return {"r1.2": {**times, **first}, "r1.3": {"disagreement.0": 98, "disagreement.-1": 1, "errors.0": 100}}


def material(**changes):
    known = Material(
        "yolo26", RAMP, books(), look(answer()), (), (sample(),), {"a": sample_jpeg()}, PARITY, 3000.0
    )
    return replace(known, **changes)


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside the style sheet."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._stack = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._stack.append(tag)

    def handle_endtag(self, tag):
        self._stack.pop()

    def handle_data(self, data):
        if self._stack[-1:] != ["style"]:
            self.text += data + " "


def criterion(report, number):
    return next(one for one in report["criteria"] if one["number"] == number)


def test_the_document_can_be_written_as_json_and_says_what_each_criterion_rests_on():
    report = report_of(material())

    assert json.loads(json.dumps(report))["verdict"] == report["verdict"]
    assert [one["number"] for one in report["criteria"]] == [1, 2, 3, 4, 5, 6]
    assert all(one["how"] and one["figure"] for one in report["criteria"])
    assert {one["verdict"] for one in report["criteria"]} <= {"met", "not met", "not known here"}


def test_evidence_of_all_epochs_is_summed_and_each_epoch_is_told_by_itself():
    found = report_of(material())["disagreement"]

    assert (found["samples"], found["worse"], found["better"]) == (301, 2, 1)
    assert found["low"] < found["rate"] == 1 / 301 < found["high"]
    assert [(one["epoch"], one["samples"]) for one in found["epochs"]] == [("r1.2", 202), ("r1.3", 99)]


def test_coverage_tells_how_often_each_class_and_light_was_seen_and_how_often_it_differed():
    covered = report_of(material())["coverage"]

    person = {"name": "person", "evidence": 150, "seen": 490, "different": 7}
    assert covered["class"][0] == person
    assert [(one["name"], one["seen"], one["different"]) for one in covered["light"]] == [
        ("day", 470, 6), ("infrared", 90, 2),
    ]  # fmt: skip
    assert covered["camera"][0] == {"name": "gate", "evidence": 120, "kept_pictures": 1}


def test_quantiles_are_those_of_the_bins_and_the_histogram_loses_nobody():
    latency = report_of(material())["latency"]

    assert latency["legacy"]["p95_ms"] == pytest.approx(69, rel=0.03)
    assert latency["triton"]["p50_ms"] == pytest.approx(15.5, rel=0.03)
    assert sum(one["legacy"] for one in latency["histogram"]) == 300
    assert sum(one["triton"] for one in latency["histogram"]) == 200


@pytest.mark.parametrize(
    ("ramp", "answered", "verdict"),
    [
        (replace(RAMP, step=0), answer("latency", well=3.5), "met"),
        (replace(RAMP, step=0), answer("latency", well=2.5), "not known here"),
        (RAMP, answer("latency", well=0.1), "met"),  # the step before could not have been left without it
        (RAMP, answer("latency", well=3.5, ill=8.0), "not met"),
        (None, None, "not known here"),
    ],
)
def test_latency_is_met_by_evidence_only(ramp, answered, verdict):
    shown = look(answered) if answered else None

    assert criterion(report_of(material(ramp=ramp, look=shown)), 1)["verdict"] == verdict


def test_no_data_is_never_met():
    report = report_of(Material("yolo26", None, {}))

    verdicts = {one["number"]: one["verdict"] for one in report["criteria"]}
    assert verdicts.pop(6) == "met"  # whoever made this report serves metrics
    assert set(verdicts.values()) == {"not known here"}


@pytest.mark.parametrize(
    ("about", "verdict"),
    [
        (PARITY, "met"),
        ({**PARITY, "parity.difference": "-0.00200"}, "not met"),
        ({**PARITY, "parity.passed": "no", "parity.problem": "scores differ"}, "not met"),
        ({"parity.problem": "unreadable"}, "not known here"),
        ({}, "not known here"),
    ],
)
def test_accuracy_is_what_the_certificate_says(about, verdict):
    shown = criterion(report_of(material(about=about)), 2)

    assert shown["verdict"] == verdict
    assert about.get("parity.problem", "") in shown["how"]


def test_a_comparison_never_claims_what_only_production_shows():
    report = report_of(material(ramp=None, about={"kind": "compare"}))

    assert {criterion(report, number)["verdict"] for number in (1, 4, 5, 6)} == {"not known here"}


def test_a_certificate_that_is_none_is_a_sentence_and_no_error(tmp_path):
    assert parity_of(tmp_path, "yolo26") == {}
    (tmp_path / "yolo26" / "openvino").mkdir(parents=True)
    (tmp_path / "yolo26" / "openvino" / "parity.json").write_text("{}")

    assert "certificate" in parity_of(tmp_path, "yolo26")["parity.problem"]


def test_what_was_missed_is_worse_than_what_was_found_twice():
    twice, missed = sample("b", ("duplicate", "duplicate")), sample("a", ("missed",))

    assert [one.id for one in worst([twice, missed])] == ["a", "b"]


class Shelf:
    """What `gather` asks of a store."""

    def __init__(self, changes, ramp):
        self._changes, self._ramp = changes, ramp

    def books(self):
        return ("rtdetr/r1.2", "yolo26/idle", "yolo26/r0.9", "yolo26/r1.10", "yolo26/r1.2")

    def counts(self, book):
        return {"disagreement.0": len(book)}

    def record(self, name):
        assert name == look_record("yolo26")
        return json.dumps(look(answer()).to_table())

    def history(self, limit, before=None):
        older = [one for one in self._changes[::-1] if before is None or one.version < before]
        return tuple(older[:limit])

    def samples(self, limit, detector=""):
        return (sample("a"), sample("old", epoch="r0.9"))

    def picture(self, name):
        return sample_jpeg()


def changes_of(ramp):
    before = RolloutState()
    begun = RolloutState(1).with_ramp("yolo26", ramp, 0.1)
    other = replace(begun, version=2, overrides={**begun.overrides, "rtdetr": 0.3})
    stepped = replace(other, version=3).with_ramp("yolo26", ramp.begun_anew(1300.0, step=1), 0.5)
    made = [
        (before, begun, "ada", "go"),
        (begun, other, "bob", "another"),
        (other, stepped, "ramp", "earned"),
    ]
    return tuple(
        Change.made(a, b, who=who, reason=why, at=1000.0 + b.version) for a, b, who, why in made[::-1]
    )


def test_gathered_is_this_ramp_and_no_other_detectors():
    ramp = replace(RAMP, step=0, tries=2)
    state = RolloutState(ramps={"yolo26": RAMP})
    found = gather(Shelf(changes_of(ramp), RAMP), "yolo26", state)

    assert list(found.books) == ["r1.2", "r1.10"]  # by number, not by letter
    assert [change.who for change in found.changes] == ["ada", "ramp"]
    assert [one.id for one in found.samples] == ["a"]
    assert found.look is not None
    report = report_of(found)
    assert [(one["fraction"], one["who"]) for one in report["steps"]] == [(0.1, "ada"), (0.5, "ramp")]
    assert report["disagreement"]["epochs"][0]["fraction"] == 0.1


def test_whatever_a_camera_is_called_the_page_holds_it_as_text():
    hostile = material(
        samples=(sample(camera=HOSTILE, kinds=(HOSTILE,)),),
        books={"r1.2": {f"{prefix}.{HOSTILE}": 3 for prefix in ("camera", "class", "error", "version", "dropped")}
               | {f"kind.missed.day.{HOSTILE}": 1, f"seen.day.{HOSTILE}": 2, f"swap.{HOSTILE}/{HOSTILE}": 1}},
        about={"name.triton": HOSTILE, "source": HOSTILE, "verdict": HOSTILE, "tone": HOSTILE},
        labels=(HOSTILE,),
    )  # fmt: skip
    text = page(report_of(hostile), hostile.pictures)

    shown = Page(text)
    assert "script" not in {tag for tag, _ in shown.tags}
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on")]
    assert HOSTILE in shown.text


def test_the_page_asks_nobody_for_anything():
    text = page(report_of(material()), {"a": sample_jpeg()})

    assert not re.search(
        r"""(?:src|href|action|data)\s*=\s*["'](?!#|data:image/)|url\(|@import|<script|<link""", text
    )
    assert re.findall(r"https?://[^\s\"<]+", text.replace("http://www.w3.org/2000/svg", "")) == []


def test_every_plot_is_well_formed_says_what_it_shows_and_has_a_table_beside_it():
    text = page(report_of(material()), {"a": sample_jpeg()})
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)

    assert len(pictures) == 5  # histogram, band, two kinds of bars, a pair
    for picture in pictures:
        names = [child.tag.rpartition("}")[2] for child in ET.fromstring(picture)]
        assert names[0] == "title"
    for plot in (one for one in pictures if 'class="plot"' in one):
        assert "<desc>" in plot
    assert text.count("<table>") >= text.count('class="plot"')


def test_a_picture_with_both_sides_drawn_in_it_is_shown_as_it_is():
    text = page(report_of(material()), {"a": sample_jpeg()})

    assert text.count("data:image/jpeg") == 1
    assert 'class="seen' not in text
    assert "legacy: person; Triton: nothing" in text


def test_a_bare_picture_is_in_the_page_once_and_shown_with_each_sides_boxes():
    text = page(report_of(material(drawn=False)), {"a": sample_jpeg()})

    assert text.count("data:image/jpeg") == 1
    assert text.count('href="#picture0"') == 1
    assert text.count('class="seen apart"') == 1  # Triton has no such box


def test_a_page_of_many_and_large_pictures_stays_under_five_megabytes():
    names = [f"{number:02}" for number in range(40)]
    many = tuple(sample(name) for name in names)
    pictures = dict.fromkeys(names, sample_jpeg() + bytes(300_000))
    text = page(report_of(material(samples=many, pictures=pictures)), pictures)

    assert 5 <= text.count("data:image/jpeg") < 40
    assert len(text.encode()) < 5_000_000


def test_a_page_can_be_made_of_nothing():
    shown = Page(page(report_of(Material("rtdetr", None, {})), {}))

    assert "No ramp has been started" in shown.text
    assert not [attributes for tag, attributes in shown.tags if tag == "svg"]
