"""Parity: who is like legacy passes, and every fault that we could think of fails, by name."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import simplejpeg
import torch

from ai.core.detections import Detection, Detections
from ai.core.labels import COCO_80
from ai.core.matching import compare
from ai.demo.scoring import Truth
from ai.engines.onnxruntime_engine import OnnxRuntimeEngine
from ai.triton import parity
from ai.triton.building.catalogue import built_in
from ai.triton.comparing import certificate, parity_data
from ai.triton.comparing.agreement import THRESHOLD, summary
from ai.triton.comparing.certificate import Agreement, BadCertificate, Subject, Tally
from ai.triton.comparing.parity_exam import Candidate, Legacy, Report, ask_legacy, examine
from ai.triton.comparing.parity_page import page
from ai.triton.comparing.parity_sides import InProcess, Unanswered
from ai.triton.embedded.settings import read_settings
from ai.triton.repository import Options, build

PERSON, CAR, TRUCK = 0, 2, 7
SCENES = 24
BATCHES = (1, 4)


# --- summing up -------------------------------------------------------------------------------------------


def box(x: float, score: float = 0.9, class_id: int = CAR, side: float = 100) -> Detection:
    return Detection(x, 0, x + side, side, score, class_id, COCO_80[class_id])


def seen(*items: Detection) -> Detections:
    return Detections(items, 1000, 1000)


@pytest.mark.parametrize(
    ("other", "tally"),
    [
        (seen(box(0, class_id=TRUCK)), Tally(swapped=1)),
        (seen(box(40)), Tally(misplaced=1)),
        (seen(box(0), box(10)), Tally(same=1, duplicate=1)),
        (seen(), Tally(missed=1)),
        (seen(box(0), box(500)), Tally(same=1, extra=1)),
    ],
)
def test_each_kind_of_difference_is_one_disagreement(other, tally):
    """What both sides have a box of is counted under legacy's class, and once."""
    found = summary([compare(seen(box(0)), other, THRESHOLD)])
    assert found.by_class == {"car": tally}
    assert (found.disagreements, found.seen) == (1, 1 + tally.same)


def test_a_class_that_is_never_at_its_place_is_lost():
    assert Tally(misplaced=3).lost
    assert not Tally(same=1, misplaced=3).lost


# --- certificates -----------------------------------------------------------------------------------------

SUBJECT = Subject("yolo26", "yolo26_jpeg", "3", "openvino", "f32", "f" * 64)


def certified(**changes) -> certificate.Certificate:
    agreement = Agreement(200, 0.999, 0.99, 0.98, 0.0001, 0.001, 0.002, {"car": Tally(same=200)})
    levels = tuple(certificate.Level(size, {size: 9}, 0.7, 0.8, agreement) for size in (1, 8))
    whole = certificate.Certificate(
        SUBJECT, "cpu", certificate.Data("drawn", "labels", 48, 180, ("car",), "d" * 64),
        certificate.Reference("torch", "cpu", 0.7, 0.8), levels, {"python": "3.11"}, "a machine", "2026-11-21", 9.0,
    )  # fmt: skip
    return replace(whole, **changes)


def with_level(**changes) -> certificate.Certificate:
    """The second of two batch sizes is not like the first."""
    first, second = certified().levels
    return certified(levels=(first, replace(second, **changes)))


def with_agreement(**changes) -> certificate.Certificate:
    return with_level(agreement=replace(certified().levels[1].agreement, **changes))


def test_a_certificate_survives_the_way_through_json():
    assert certificate.from_json(certified().to_json()) == certified()
    assert certified().passed


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (with_level(map50_95=0.7011), "at batch 8: mAP50-95 differs by +0.0011"),
        (with_level(map50_95=0.6989), "at batch 8: mAP50-95 differs by -0.0011"),
        (with_level(map50_95=0.702), "48 pictures are few for so small a difference: --scenes 1000"),
        (with_level(map50_95=float("nan")), "mAP50-95 differs"),
        (with_level(unanswered=("scene 3: ServerError: no",)), "scene 3: ServerError: no"),
        (with_level(batches_seen={1: 40, 3: 2}), "never ran a batch of 8 (it ran: 1, 3)"),
        (with_agreement(score_difference_mean=0.006), "scores differ by 0.0060"),
        (with_agreement(by_class={"car": Tally(same=200, missed=3)}), "3 of 203 objects"),
        (with_agreement(by_class={"car": Tally(same=900), "dog": Tally(missed=3)}), "never seen: dog"),
        (certified(reference=certificate.Reference("torch", "cpu", 0.7, 0.8, ("a: b",))), "legacy left 1 of 48"),
        (certified(data=replace(certified().data, objects=9)), "only 9 objects"),
        (certified(levels=()), "not asked"),
    ],
)  # fmt: skip
def test_what_makes_parity_fail(broken, why):
    """A fault at one batch size is enough, and the reason says which."""
    assert not broken.passed
    assert why in "; ".join(broken.problems)


def test_the_allowed_difference_is_allowed():
    assert with_level(map50_95=0.7009).passed
    assert with_level(map50_95=0.6991).passed


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"fingerprint": "0" * 64}, "weights ffffffffffff…, not 000000000000…"),
        ({"engine": "torch"}, "engine openvino, not torch"),
        ({"version": "4"}, "version 3, not 4"),
        ({"precision": "int8"}, "precision f32, not int8"),
        ({"detector": "rtdetr", "model": "rtdetr_jpeg"}, "detector yolo26, not rtdetr"),
    ],
)
def test_a_certificate_counts_only_for_what_it_was_made_with(other, why):
    standing = certificate.covers(certified(), replace(SUBJECT, **other))
    assert not standing.holds
    assert why in standing.reason
    assert certificate.covers(certified(), SUBJECT).holds


def test_a_certificate_of_before_kinds_had_names_is_still_read():
    table = json.loads(certified().to_json())
    for level in table["levels"]:
        level["agreement"]["by_class"]["car"] = {
            "same": 200, "missed": 1, "extra": 1, "swapped": 0, "borderline": 2,
        }  # fmt: skip
    read = certificate.from_json(json.dumps(table)).levels[0].agreement.by_class["car"]
    assert (read, read.disagreements) == (Tally(same=200, missed=1, extra=1, borderline=2), 2)


def test_a_verdict_that_stands_in_the_file_is_not_believed(tmp_path):
    path = tmp_path / "parity.json"
    table = json.loads(with_level(map50_95=0.5).to_json())
    path.write_text(json.dumps({**table, "passed": True, "problems": []}))
    standing = certificate.standing(path, SUBJECT)
    assert not standing.holds
    assert "mAP50-95 differs" in standing.reason


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1, "passed": true}', "\0", "null", "[" * 9999]
)
def test_doubt_means_no(tmp_path, text):
    """A missing or broken certificate holds the ramp, and does not raise into it."""
    path = tmp_path / "parity.json"
    assert "there is no certificate" in certificate.standing(path, SUBJECT).reason
    path.write_text(text)
    assert not certificate.standing(path, SUBJECT).holds
    with pytest.raises(BadCertificate, match=r"parity\.json"):
        certificate.load(path)


@pytest.mark.parametrize("figure", [None, "0.7", [0.7], {}])
def test_a_figure_that_is_no_number_is_no_certificate(tmp_path, figure):
    table = json.loads(certified().to_json())
    table["levels"][1]["map50_95"] = figure
    (tmp_path / "parity.json").write_text(json.dumps(table))
    assert "no certificate" in certificate.standing(tmp_path / "parity.json", SUBJECT).reason


def test_each_kind_of_model_has_a_place_of_its_own():
    models = ("yolo26_jpeg", "yolo26", "yolo26_jpeg_streaming")
    folders = [replace(SUBJECT, model=model).folder for model in models]
    folders += [replace(SUBJECT, precision="int8").folder]
    assert list(map(str, folders)) == ["yolo26/openvino", "yolo26/openvino-tensor",
                                       "yolo26/openvino-jpeg_streaming", "yolo26/openvino-int8"]  # fmt: skip


# --- labelled pictures ------------------------------------------------------------------------------------


def coco_folder(tmp_path, **changes):
    """One picture of 40 x 30 pixels with a lorry, a person and a unicorn."""
    pixels = np.full((30, 40, 3), 90, np.uint8)
    (tmp_path / "a.jpg").write_bytes(simplejpeg.encode_jpeg(pixels))
    table = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 9, "name": "Lorry"}, {"id": 3, "name": "person"}, {"id": 4, "name": "unicorn"}],
        "annotations": [
            {"image_id": 5, "category_id": 9, "bbox": [1, 2, 10, 11]},
            {"image_id": 5, "category_id": 3, "bbox": [3, 4, 5, 6], "iscrowd": 1},
            {"image_id": 5, "category_id": 4, "bbox": [0, 0, 9, 9]},
        ],
        **changes,
    }
    (tmp_path / "labels.json").write_text(json.dumps(table))
    return tmp_path, tmp_path / "labels.json"


def test_a_folder_with_cocos_labels_is_read_in_the_detectors_own_classes(tmp_path):
    """Categories are found by name, also by another name for the same; those nobody knows are no objects."""
    pictures = parity_data.folder(*coco_folder(tmp_path))
    [truth] = pictures.truths_for(COCO_80)
    assert truth.boxes.tolist() == [[1, 2, 11, 13], [3, 4, 8, 10]]
    assert truth.class_ids.tolist() == [TRUCK, PERSON]
    assert truth.crowds.tolist() == [False, True]
    assert [len(one) for one in pictures.truths_for(("scratch", "dent"))] == [0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"images": [], "annotations": []}, "names no picture"),
        ({"images": [{"id": 5, "file_name": "b.jpg"}]}, "b.jpg"),
        ({"images": [{"id": 5, "file_name": "../../etc/passwd"}]}, "lies outside"),
        ({"images": [{"id": 5, "file_name": "labels.json"}]}, "labels.json"),
        ({"images": [{"id": 5, "file_name": "a.jpg", "width": 80, "height": 60}]}, "40 x 30"),
        ({"images": [{"id": 6, "file_name": "a.jpg"}]}, "no 5"),
        ({"annotations": [{"image_id": 5, "category_id": 77, "bbox": [1, 2, 3, 4]}]}, "no 77"),
        ({"annotations": [{"image_id": 5, "category_id": 9, "bbox": [1, 2, 3]}]}, "cannot be read"),
        ({"categories": None}, "cannot be read"),
    ],
)
def test_labels_that_do_not_belong_to_their_pictures_are_refused(tmp_path, changes, why):
    with pytest.raises(parity_data.BadLabels, match=why):
        parity_data.folder(*coco_folder(tmp_path, **changes))


def test_the_hash_is_of_pictures_and_labels(tmp_path):
    one = parity_data.folder(*coco_folder(tmp_path))
    picture = one.pictures[0]
    moved = Truth(picture.truth.boxes + 1, picture.truth.class_ids)
    others = (
        replace(one, pictures=(replace(picture, truth=moved),)),
        replace(one, pictures=(replace(picture, encoded=picture.encoded + b"\0"),)),
        replace(one, labels=("truck", "person", "unicorn")),
    )
    assert len({known.digest for known in (one, *others)}) == 4


def test_drawn_scenes_are_the_same_every_time_and_of_many_sizes():
    first, again = parity_data.drawn(8), parity_data.drawn(8)
    assert first.digest == again.digest
    sizes = {simplejpeg.decode_jpeg_header(picture.encoded)[:2] for picture in first.pictures}
    assert len(sizes) == 8


# --- planted faults ---------------------------------------------------------------------------------------


class Recorded:
    """What a side answered, answered again: a fault is planted without asking the network anew."""

    def __init__(self, pictures, answers):
        self.answers = {one.encoded: answer for one, answer in zip(pictures.pictures, answers, strict=True)}
        self.sizes = {}
        self.asked = 0

    async def ask(self, pictures, together):
        answers = []
        for first in range(0, len(pictures), together):
            part = pictures[first : first + together]
            self.asked += len(part)
            self.sizes[len(part)] = self.sizes.get(len(part), 0) + 1
            answers += self.batch([self.answers[picture] for picture in part])
        return answers

    def batch(self, answers):
        return answers

    async def batches(self):
        return dict(self.sizes)


class Faulty(Recorded):
    """Each detection is changed, or taken away by None."""

    def __init__(self, recorded, change):
        self.__dict__ |= vars(recorded)
        self.change = change

    def batch(self, answers):
        return [
            replace(found, items=tuple(new for one in found if (new := self.change(one)) is not None))
            for found in answers
        ]


class CountsLate(InProcess):
    """As Triton does: it answers, and counts the batch a moment later."""

    looks = 0

    async def batches(self):
        self.looks += 1
        counted = dict(await super().batches())
        if self.looks == 2:  # the first after the pictures
            counted[1] -= 3
        return counted


class NeighboursAnswer(Recorded):
    def batch(self, answers):
        return answers[1:] + answers[:1]


class BlueFirst:
    """An engine that is handed BGR."""

    device = "cpu"

    def __init__(self, engine):
        self.engine = engine

    def infer(self, pixels):
        return self.engine.infer(np.ascontiguousarray(pixels[:, ::-1]))


class Stand:
    """A detector's legacy side, and ONNX Runtime on the other, over the same drawn scenes."""

    def __init__(self, name, count, folder):
        source = built_in(name)
        graph = folder / f"{name}.onnx"
        source.write_onnx(graph)
        self.spec, self.engine = source.spec, OnnxRuntimeEngine(graph, threads=1)
        self.pictures = parity_data.drawn(count)
        legacy = InProcess(source.reference(), source.spec)
        self.legacy: Legacy = asyncio.run(
            ask_legacy(legacy, "torch", "cpu", source.spec.labels, self.pictures)
        )

    def recorded(self, engine=None, spec=None, kind=Recorded):
        """Asked once for each batch size: this is what the promise is about."""
        side = InProcess(engine or self.engine, spec or self.spec)
        encoded = [picture.encoded for picture in self.pictures.pictures]
        return kind(self.pictures, asyncio.run(side.ask(encoded, BATCHES[-1])))

    def examined(self, side, batches=BATCHES) -> Report:
        return asyncio.run(examine(self.legacy, Candidate(SUBJECT, "cpu", side, batches), self.pictures))

    def problems(self, side) -> str:
        return "\n".join(self.examined(side).certificate.problems)


@pytest.fixture(scope="module")
def one_thread():
    """Threads that wait for one another take minutes where other tests keep the processor busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def yolo26(one_thread, tmp_path_factory):
    return Stand("yolo26", SCENES, tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def rtdetr(one_thread, tmp_path_factory):
    return Stand("rtdetr", SCENES // 2, tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def untouched(yolo26):
    return yolo26.recorded()


def test_the_untouched_side_passes(yolo26, rtdetr):
    """The control: another engine, other batch sizes, the same network and the same way in and out."""
    for stand in (yolo26, rtdetr):
        report = stand.examined(InProcess(stand.engine, stand.spec), (1, 4, 8))
        found = report.certificate
        assert found.passed, found.problems
        assert found.data.truth == "labels"
        assert found.reference.map50_95 > 0.4
        assert abs(found.worst_map_difference) < 0.0002
        assert all(level.batches_seen[level.batch] for level in found.levels)
        assert all(level.agreement.iou_min > 0.999 for level in found.levels)
        assert len(report.worst) == 8
        assert len(report.ordinary) == 4
        assert found.versions["torch"]


HALF_A_PIXEL = [(x, y) for x in (-0.5, 0, 0.5) for y in (-0.5, 0, 0.5) if x or y]


@pytest.mark.parametrize(("x", "y"), [*HALF_A_PIXEL, (1, 0), (2, 0), (4, 0)])
def test_shifted_boxes_fail(yolo26, untouched, x, y):
    """Half a pixel is enough, whichever way. A quarter is not always: see docs/parity.md."""
    side = Faulty(
        untouched, lambda one: one._replace(x1=one.x1 + x, x2=one.x2 + x, y1=one.y1 + y, y2=one.y2 + y)
    )
    assert "at batch 1, 4: mAP50-95 differs" in yolo26.problems(side)


def test_swapped_classes_fail(yolo26, untouched):
    swap = {CAR: TRUCK, TRUCK: CAR}

    def swapped(one):
        class_id = swap.get(one.class_id, one.class_id)
        return one._replace(class_id=class_id, label=COCO_80[class_id])

    report = yolo26.examined(Faulty(untouched, swapped))
    assert not report.certificate.passed
    assert report.certificate.levels[0].agreement.by_class["car"].swapped > 10


@pytest.mark.parametrize("factor", [0.99, 0.9, 0.5])
def test_scaled_scores_fail(yolo26, untouched, factor):
    """mAP does not see this one: it knows which score is higher, not how high it is."""
    side = Faulty(untouched, lambda one: one._replace(score=one.score * factor))
    assert "scores differ" in yolo26.problems(side)


def test_a_dropped_class_fails_by_its_name(yolo26, untouched):
    side = Faulty(untouched, lambda one: None if one.class_id == PERSON else one)
    assert "never seen: person" in yolo26.problems(side)


def test_a_class_that_nobody_labelled_may_not_be_dropped_either(yolo26, untouched):
    """mAP looks at labelled classes only."""
    without = tuple(
        replace(one, truth=Truth(one.truth.boxes[:0], one.truth.class_ids[:0]))
        if PERSON in one.truth.class_ids
        else one
        for one in yolo26.pictures.pictures
    )
    pictures = replace(yolo26.pictures, pictures=without)
    legacy = asyncio.run(ask_legacy(untouched, "torch", "cpu", COCO_80, pictures))
    assert legacy.data.truth == "labels"
    assert "person" not in legacy.data.classes
    side = Faulty(untouched, lambda one: None if one.class_id == PERSON else one)
    report = asyncio.run(examine(legacy, Candidate(SUBJECT, "cpu", side, (1,)), pictures))
    assert report.certificate.problems[-1] == "at batch 1: never seen: person"


def test_answers_handed_to_the_neighbour_fail_at_the_batch_size_where_it_happens(yolo26):
    """Alone every picture gets its own answer: parity at batch 1 says nothing of a batch of 4."""
    problems = yolo26.problems(yolo26.recorded(kind=NeighboursAnswer))
    assert "at batch 4: mAP50-95 differs" in problems
    assert "batch 1" not in problems


def test_the_wrong_resize_fails(yolo26, rtdetr):
    for stand, wrong in ((yolo26, "stretch"), (rtdetr, "letterbox")):
        side = stand.recorded(spec=replace(stand.spec, fit=wrong))
        assert "at batch 1, 4: mAP50-95 differs" in stand.problems(side)


def test_blue_for_red_fails(yolo26):
    assert "mAP50-95 differs" in yolo26.problems(yolo26.recorded(BlueFirst(yolo26.engine)))


def test_one_picture_without_an_answer_fails_and_its_error_is_named(yolo26, untouched):
    side = Recorded(yolo26.pictures, list(untouched.answers.values()))
    last = yolo26.pictures.pictures[-1]
    side.answers[last.encoded] = Unanswered("ServerError: Triton says INTERNAL: out of luck")
    report = yolo26.examined(side)
    assert f"1 of {SCENES} pictures unanswered" in report.certificate.problems[0]
    assert f"{last.name}: ServerError: Triton says INTERNAL: out of luck" in page(report)


def test_a_side_that_stopped_answering_is_not_asked_for_everything(yolo26, untouched):
    side = Recorded(yolo26.pictures, [Unanswered("Unavailable: gone")] * SCENES)
    report = yolo26.examined(side, (1,))
    assert f"{SCENES} of {SCENES} pictures unanswered, the first: scene 0: Unavailable" in str(
        report.certificate.problems
    )
    assert side.asked < SCENES


def test_a_picture_that_legacy_cannot_read_fails_too(yolo26):
    """It would be a figure of fewer pictures than it says."""
    broken = replace(
        yolo26.pictures.pictures[0], name="half", encoded=yolo26.pictures.pictures[0].encoded[:2000]
    )
    pictures = replace(yolo26.pictures, pictures=(*yolo26.pictures.pictures[:7], broken))
    side = InProcess(yolo26.engine, yolo26.spec)
    legacy = asyncio.run(ask_legacy(side, "torch", "cpu", yolo26.spec.labels, pictures))
    report = asyncio.run(examine(legacy, Candidate(SUBJECT, "cpu", side, (4,)), pictures))
    assert "legacy left 1 of 8 pictures unanswered, the first: half:" in report.certificate.problems[0]


def test_what_a_server_counts_late_is_counted(yolo26):
    side = CountsLate(yolo26.engine, yolo26.spec)
    level = yolo26.examined(side, (1,)).certificate.levels[0]
    assert level.batches_seen == {1: SCENES}


def test_without_labels_that_the_detector_knows_legacy_is_the_truth(yolo26):
    """And the certificate says so; a shift is found all the same."""
    own = replace(yolo26.spec, labels=tuple(f"part {index}" for index in range(80)))
    side = InProcess(yolo26.engine, own)
    legacy = asyncio.run(ask_legacy(side, "torch", "cpu", own.labels, yolo26.pictures))
    assert legacy.data.truth == "reference"
    assert legacy.reference.map50_95 == pytest.approx(1.0)
    control = yolo26.recorded(spec=own)
    shifted = Faulty(control, lambda one: one._replace(x1=one.x1 + 1, x2=one.x2 + 1))
    for other, passes in ((control, True), (shifted, False)):
        report = asyncio.run(examine(legacy, Candidate(SUBJECT, "cpu", other, (1,)), yolo26.pictures))
        assert report.certificate.passed == passes
        assert "what legacy is sure of" in page(report)


def test_two_sides_that_see_nothing_prove_nothing(yolo26):
    """No data is no pass."""
    blind = Recorded(yolo26.pictures, [seen()] * SCENES)
    legacy = asyncio.run(ask_legacy(blind, "torch", "cpu", COCO_80, yolo26.pictures))
    report = asyncio.run(examine(legacy, Candidate(SUBJECT, "cpu", blind, (1,)), yolo26.pictures))
    assert not report.certificate.passed
    assert "only 0 objects" in report.certificate.problems[0]


# --- page and command -------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Tags and addresses of a page; fails when a tag is left open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.addresses, self.words = set(), [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in {"href", "src"}]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_page_needs_nothing_but_itself(yolo26, untouched):
    outline = Outline(page(yolo26.examined(untouched)))
    assert "script" not in outline.tags
    assert outline.addresses
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in outline.addresses)
    assert "parity passed" in outline.words


def test_the_page_says_labels_and_names_as_they_are_and_runs_none_of_them(yolo26, untouched):
    hostile = '"><script>alert(1)</script>'
    report = yolo26.examined(Faulty(untouched, lambda one: one._replace(label=hostile)))
    named = replace(report.worst[0], picture=replace(report.worst[0].picture, name=hostile))
    data = replace(report.certificate.data, source=hostile, classes=(hostile,))
    subject = replace(report.certificate.subject, model=hostile)
    text = page(
        replace(report, worst=(named,), certificate=replace(report.certificate, data=data, subject=subject))
    )
    outline = Outline(text)
    assert "script" not in outline.tags
    assert outline.words.count(hostile) >= 5


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (parity.ParityOptions(scenes=0), "--scenes is 0"),
        (parity.ParityOptions(images=parity.Path("x")), "go together"),
        (parity.ParityOptions(scenes=4, batches=(1, 0)), r"--batches is \[1, 0\]"),
        (parity.ParityOptions(scenes=4, batches=(8,)), "from 1 to the 4 pictures"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_starts(options, why):
    with pytest.raises(parity.CannotCompare, match=why):
        parity.run_parity(read_settings(), {}, options, print)


def test_only_models_of_these_very_weights_are_compared(tmp_path):
    source = built_in("yolo26")
    with pytest.raises(parity.CannotCompare, match="holds no model of yolo26"):
        parity.models_of(tmp_path, "yolo26", source)
    build(tmp_path, {"yolo26": source}, Options(engine="torch", also=("tensors",)), print)
    assert parity.models_of(tmp_path, "yolo26", source) == ["yolo26", "yolo26_jpeg"]
    with pytest.raises(parity.CannotCompare, match="built from other weights"):
        parity.models_of(tmp_path, "yolo26", replace(source, fingerprint="0" * 64))
