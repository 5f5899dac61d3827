"""What is read out of a detector's file, and that boxes come back as the network itself means them."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import onnx
import pytest
import torch

from ai.core.image import decode
from ai.core.labels import canonical
from ai.core.processing import finish, prepare
from ai.core.sample import sample_jpeg
from ai.engines.onnxruntime_engine import OnnxRuntimeEngine
from ai.triton.building import added, facts_onnx
from ai.triton.building.facts import CannotDescribe, Facts, answered, labels_of, size_of, unanswered
from tests.checkpoints import FAMILIES, LABELS, NAMES, SIDE, checkpoint, exported, network
from tests.networks import bright

NMS_FREE = ("yolov10n", "yolo26n")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def files(family, tmp_path_factory):
    """A checkpoint, and what ultralytics exports from it."""
    file = checkpoint(tmp_path_factory.mktemp(family) / f"{family}.pt", family)
    return {".pt": file, ".onnx": exported(file, nms=False)}


@pytest.fixture(scope="module", params=[".pt", ".onnx"])
def source(request, files, tmp_path_factory):
    return opened(files[request.param], tmp_path_factory.mktemp("detectors"))


def opened(file, folder):
    name = added.add(file, folder)
    return added.sources(folder)[name]()


def test_a_file_describes_itself(source, family):
    spec = source.spec
    assert (spec.name, spec.labels) == (family, LABELS)
    assert (spec.input_width, spec.input_height, spec.input_type) == (SIDE, SIDE, "uint8")
    assert spec.fit == ("stretch" if family == "rtdetr_s" else "letterbox")
    in_rows = family in (*NMS_FREE, "rtdetr_s")
    assert (spec.layout, spec.nms_iou) == (("rows", 0.0) if in_rows else ("anchors", 0.7))


def test_boxes_are_those_of_the_bare_network(source, family, tmp_path):
    """Ours: exported, run by ONNX Runtime, read by its spec. Theirs: the module, decoded here by hand."""
    source.write_onnx(tmp_path / "graph.onnx")
    picture = decode(sample_jpeg())
    ready = prepare(picture, source.spec)
    raw = OnnxRuntimeEngine(tmp_path / "graph.onnx").infer(ready.pixels[None])[0]
    ours = [(d.x1, d.y1, d.x2, d.y2, d.score, d.class_id) for d in finish(raw, ready.fit, source.spec)]
    assert_same(np.array(ours), by_hand(network(family), picture, family))


def by_hand(module, picture, family):
    height, width = picture.shape[:2]
    if family == "rtdetr_s":
        canvas, scale, pad = cv2.resize(picture, (SIDE, SIDE)), (SIDE / width, SIDE / height), (0, 0)
    else:
        inner = (SIDE, round(height * SIDE / width))
        top = (SIDE - inner[1]) // 2
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        canvas[top : top + inner[1]] = cv2.resize(picture, inner)
        scale, pad = (inner[0] / width, inner[1] / height), (0, top)
    if family in NMS_FREE:
        module.end2end = True
    with torch.no_grad():
        answer = module(torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255)[0][0].numpy()
    rows = decoded(answer, family)
    rows[:, [0, 2]] = ((rows[:, [0, 2]] - pad[0]) / scale[0]).clip(0, width)
    rows[:, [1, 3]] = ((rows[:, [1, 3]] - pad[1]) / scale[1]).clip(0, height)
    return rows[(rows[:, 2:4] - rows[:, :2] >= 1).all(axis=1)]


def decoded(answer, family):
    if family in NMS_FREE:
        return answer[answer[:, 4] >= 0.05]
    if family == "rtdetr_s":
        rows = answer[answer[:, 4] >= 0.05]
        rows[:, :4] = corners(rows[:, :4]) * SIDE
        return rows
    boxes, scores = corners(answer[:4].T), answer[4:].T
    rows = np.column_stack((boxes, scores.max(axis=1), scores.argmax(axis=1)))
    return suppressed(rows[rows[:, 4] >= 0.05])


def corners(boxes):
    return np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), axis=1)


def suppressed(rows):
    kept = []
    for row in sorted(rows.tolist(), key=lambda row: -row[4]):
        if all(row[5] != other[5] or overlap(row, other) <= 0.7 for other in kept):
            kept.append(row)
    return np.array(kept)


def overlap(a, b):
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(area) - shared)


def assert_same(ours, theirs):
    """As many, and each has its like: the order of equals is free."""
    assert len(theirs) > 5
    assert ours.shape == theirs.shape
    for row in theirs:
        like = np.abs(ours - row) <= (0.3, 0.3, 0.3, 0.3, 0.002, 0)
        assert like.all(axis=1).any(), row


def test_two_heads_two_specs(tmp_path):
    """A YOLO26 that was exported with its one-to-many head answers as a YOLOv8 does."""
    spec = opened(exported(checkpoint(tmp_path / "yolo26n.pt", "yolo26n")), tmp_path / "detectors").spec
    assert (spec.layout, spec.box_format, spec.nms_iou) == ("anchors", "cxcywh-pixels", 0.7)


def test_an_export_of_any_size_is_served_at_the_size_it_was_trained_for(tmp_path):
    file = exported(checkpoint(tmp_path / "yolo11n.pt", "yolo11n"), dynamic=True)
    source = opened(file, tmp_path / "detectors")
    assert (source.spec.input_width, source.spec.input_height) == (SIDE, SIDE)
    source.write_onnx(tmp_path / "graph.onnx")
    answers = OnnxRuntimeEngine(tmp_path / "graph.onnx").infer(np.zeros((5, 3, SIDE, SIDE), np.uint8))
    assert answers.shape == (5, 7, 756)


FACTS = Facts("detect", ("a", "b"), 64, 32)
SPEC = unanswered(FACTS, "two", "Two")


def rows(classes, side=20.0):
    table = np.zeros((300, 6), np.float32)
    table[:, 2:4], table[:, 4], table[:, 5] = side, 0.5, classes
    return table


@pytest.mark.parametrize(
    ("said", "answer", "layout", "box_format"),
    [
        ({}, rows(1.0), "rows", "xyxy-pixels"),
        ({}, rows(1.0, side=0.5), "rows", "cxcywh-unit"),
        ({"head": "RTDETRDecoder"}, rows(1.0), "rows", "cxcywh-unit"),
        ({"head": "Detect"}, rows(1.0, side=0.5), "rows", "xyxy-pixels"),
        ({"each_object_once": True}, np.zeros((300, 6), np.float32), "rows", "xyxy-pixels"),
        ({}, rows(0.25, side=0.5), "queries", "cxcywh-unit"),
        ({}, np.zeros((6, 42), np.float32), "anchors", "cxcywh-pixels"),
    ],
)
def test_older_exports_say_less_and_their_answers_tell_the_rest(said, answer, layout, box_format):
    """With two classes, a row and a query are both six numbers: a class is a whole one, a score is not."""
    spec = answered(SPEC, dataclasses.replace(FACTS, **said), answer)
    assert (spec.layout, spec.box_format) == (layout, box_format)
    assert spec.fit == ("stretch" if box_format == "cxcywh-unit" else "letterbox")


@pytest.mark.parametrize(
    ("said", "each_once"),
    [
        ({}, False),
        ({"end2end": "True"}, True),
        ({"end2end": "False", "args": "{'nms': True}"}, True),
        ({"args": "{'nms': None}"}, False),
        ({"args": "[]"}, False),
    ],
)
def test_an_export_says_whether_it_holds_each_object_once(said, each_once, tmp_path):
    metadata = {"task": "detect", "names": "['a', 'b', 'c']"} | said
    found = facts_onnx.facts(onnx.load(bright(tmp_path / "x.onnx", metadata=metadata)))
    assert found.each_object_once is each_once
    assert (found.width, found.height, found.head) == (64, 32, None)


@pytest.mark.parametrize("shape", [(300, 7), (42, 6 + 1), (85, 100)])
def test_an_answer_of_no_known_layout_is_told_with_those_that_are(shape):
    with pytest.raises(
        CannotDescribe, match=r"answers \[\d+, \d+\].*allowed for its 2 classes are \[n, 6\], \[6, n\]"
    ):
        answered(SPEC, FACTS, np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("different", "sentence"),
    [
        ({"task": "segment"}, "task is 'segment'; allowed is 'detect'"),
        ({"head": "WorldDetect"}, "head is WorldDetect; allowed are Detect"),
        ({"channels": 4}, "pictures of 4 channels; allowed are 3"),
    ],
)
def test_what_is_no_detector_is_refused_in_one_sentence(different, sentence):
    with pytest.raises(CannotDescribe, match=sentence) as caught:
        dataclasses.replace(FACTS, **different)
    assert "a spec can be written by hand (docs/own-detector.md)" in str(caught.value)


def test_class_names_become_canonical_and_each_is_there_once():
    assert labels_of({1: "Traffic-Light", 0: "human"}) == ("person", "traffic light")
    assert labels_of(["a"]) == ("a",)
    with pytest.raises(CannotDescribe, match="classes 'person' and 'Human' are both 'person'"):
        labels_of({0: "person", 1: "Human"})


@pytest.mark.parametrize("names", [{}, {0: "a", 2: "b"}, "car", None, 7])
def test_names_that_are_no_list_of_names_are_refused(names):
    with pytest.raises(CannotDescribe, match="the class names are"):
        labels_of(names)


def test_a_size_is_a_square_or_height_and_width():
    assert size_of(320) == size_of([320]) == (320, 320)
    assert size_of([180, 320]) == (320, 180)
    with pytest.raises(CannotDescribe, match="allowed are pixels"):
        size_of("large")


def test_our_names_are_those_of_the_files():
    assert tuple(canonical(name) for name in NAMES.values()) == LABELS
