"""Detectors that somebody brings: taken in whole or not at all, and each refusal says what is allowed."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ultralytics.nn.tasks import ClassificationModel, SegmentationModel

from ai.core.errors import CrossfadeError, InvalidSpec
from ai.core.spec import DetectorSpec, Serving
from ai.engines.onnxruntime_engine import OnnxRuntimeEngine
from ai.engines.torch_engine import TorchEngine
from ai.triton.building import added, catalogue
from ai.triton.building.added import CannotAdd, add, sources, to_toml
from ai.triton.inside.families import load_network
from tests import lamps
from tests.checkpoints import checkpoint
from tests.networks import SPEC, bright, mixed_up

METADATA = {
    "task": "detect",
    "names": "{0: 'red', 1: 'green', 2: 'blue'}",
    "imgsz": "[32, 64]",
    "head": "Detect",
}
PICTURES = np.random.default_rng(5).integers(0, 256, (4, 3, 32, 64), np.uint8)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "detectors"


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "detector.toml"
    path.write_text(to_toml(SPEC, "for this test"))
    return path


def test_a_network_with_a_spec_becomes_a_source(tmp_path, folder, spec_file):
    assert add(bright(tmp_path / "x.onnx"), folder, spec=spec_file) == "bright"
    assert sorted(path.name for path in (folder / "bright").iterdir()) == ["detector.toml", "model.onnx"]
    source = sources(folder)["bright"]()
    assert source.spec == SPEC.with_bytes_in()
    source.write_onnx(tmp_path / "graph.onnx")
    served, reference = OnnxRuntimeEngine(tmp_path / "graph.onnx").infer(PICTURES), source.reference()
    np.testing.assert_allclose(served, reference.infer(PICTURES), atol=1e-5)
    assert reference.device == "cpu"


def test_an_export_of_ultralytics_needs_no_spec(tmp_path, folder):
    """Its metadata say what it is, apart from the normalisation, which is always the same."""
    file = bright(tmp_path / "my net-2.onnx", metadata=METADATA, size=("n", 3, "h", "w"))
    assert add(file, folder) == "my_net_2"
    spec = DetectorSpec.load(folder / "my_net_2" / "detector.toml")
    assert (spec.title, spec.labels, spec.input_type) == ("my net-2", ("red", "green", "blue"), "float32")
    assert (spec.input_width, spec.input_height, spec.pixel_scale) == (64, 32, 1 / 255)
    assert (spec.input_name, spec.output_name, spec.max_detections) == ("data", "found", 3)


def test_a_network_that_takes_one_picture_at_a_time_says_so_in_its_spec(tmp_path, folder, spec_file):
    add(mixed_up(tmp_path / "x.onnx", (1, 3, 32, 64)), folder, spec=spec_file)
    assert DetectorSpec.load(folder / "bright" / "detector.toml").serving == Serving(max_batch=1)


def test_weights_beside_the_file_come_along(tmp_path, folder, spec_file):
    model = onnx.load(bright(tmp_path / "x.onnx"))
    (tmp_path / "split").mkdir()
    onnx.save(
        model, tmp_path / "split" / "x.onnx", save_as_external_data=True, location="weights", size_threshold=0
    )
    add(tmp_path / "split" / "x.onnx", folder, spec=spec_file)
    for path in (tmp_path / "split").iterdir():
        path.unlink()
    assert sources(folder)["bright"]().reference().infer(PICTURES).shape == (4, 3, 6)


def test_an_edited_spec_is_another_source(tmp_path, folder, spec_file):
    """`detector.toml` is the user's to edit; what was built from the old one is then out of date."""
    add(bright(tmp_path / "x.onnx"), folder, spec=spec_file)
    before = sources(folder)["bright"]()
    toml = folder / "bright" / "detector.toml"
    toml.write_text(toml.read_text().replace("[serving]", "[serving]\ninstances = 2"))
    after = sources(folder)["bright"]()
    assert (before.spec.serving.instances, after.spec.serving.instances) == (None, 2)
    assert before.fingerprint != after.fingerprint == sources(folder)["bright"]().fingerprint


def test_one_broken_spec_hides_no_other_detector(tmp_path, folder, spec_file):
    add(bright(tmp_path / "x.onnx"), folder, spec=spec_file)
    add(tmp_path / "x.onnx", folder, spec=spec_file, name="broken")
    (folder / "broken" / "detector.toml").write_text("name = ")
    known = sources(folder)
    assert sorted(known) == ["bright", "broken"]
    assert known["bright"]().spec.name == "bright"
    with pytest.raises(InvalidSpec, match=r"broken/detector\.toml"):
        known["broken"]()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fork-lift", "cannot be called 'fork-lift'; allowed are letters, digits and _"),
        ("../x", "allowed are letters, digits and _"),
        ("2nd", "allowed are letters, digits and _"),
        ("größe", "allowed are letters, digits and _"),
        ("yolo26", "yolo26 is a detector that Crossfade brings along"),
        ("rtdetr", "rtdetr is a detector that Crossfade brings along"),
        ("mine_jpeg", "may not end in _jpeg, _raw, _streaming, _batch"),
        ("there", "there is a detector there already; take another name (--name), or --replace it"),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused_before_any_work(tmp_path, folder, spec_file, name, sentence):
    add(bright(tmp_path / "x.onnx"), folder, spec=spec_file, name="there")
    with pytest.raises(CannotAdd) as caught:
        add(tmp_path / "x.onnx", folder, spec=spec_file, name=name)
    assert sentence in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["there"]


def test_reserved_are_the_names_that_we_bring():
    assert sorted(added.RESERVED) == sorted(catalogue.BUILT_IN)


def test_what_is_asked_to_be_replaced_is(tmp_path, folder, spec_file):
    add(bright(tmp_path / "x.onnx"), folder, spec=spec_file)
    spec_file.write_text(to_toml(dataclasses.replace(SPEC, title="Newer"), "for this test"))
    add(tmp_path / "x.onnx", folder, spec=spec_file, replace=True)
    assert [path.name for path in folder.iterdir()] == ["bright"]
    assert sources(folder)["bright"]().spec.title == "Newer"


def test_a_failed_replacement_leaves_what_was_there(tmp_path, folder, spec_file):
    add(bright(tmp_path / "x.onnx"), folder, spec=spec_file)
    before = {path: path.read_bytes() for path in (folder / "bright").iterdir()}
    (tmp_path / "x.onnx").write_text("not a graph")
    with pytest.raises(CannotAdd, match=r"^x\.onnx: x\.onnx cannot be read as an ONNX file"):
        add(tmp_path / "x.onnx", folder, spec=spec_file, replace=True)
    assert {path: path.read_bytes() for path in (folder / "bright").iterdir()} == before
    assert [path.name for path in folder.iterdir()] == ["bright"]


@pytest.mark.parametrize("name", ["nowhere.onnx", "folder.onnx", "model.engine", "model"])
def test_a_file_that_is_none_of_ours_is_named_with_what_is_allowed(tmp_path, folder, name):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "model.engine").write_bytes(b"")
    with pytest.raises(CannotAdd, match=r"allowed are a \.pt of ultralytics and an \.onnx file"):
        add(tmp_path / name, folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({}, "says nothing of its names and task, as ultralytics' exports do"),
        ({"task": "segment"}, "the network's task is 'segment'; allowed is 'detect'"),
        ({"names": "{0: 'red', 1: 'Red'}"}, "both 'red'"),
        ({"names": "import os"}, "the file's names cannot be read: 'import os'"),
        ({"channels": "1"}, "pictures of 1 channels; allowed are 3"),
        ({"imgsz": "'wide'"}, "input is 'wide'; allowed are pixels, or"),
        ({"imgsz": None}, "any size, and the file does not say which"),
    ],
)
def test_an_export_that_cannot_describe_itself_is_refused_in_one_sentence(
    tmp_path, folder, metadata, sentence
):
    said = {
        key: value for key, value in (METADATA | metadata if metadata else {}).items() if value is not None
    }
    file = bright(tmp_path / "x.onnx", metadata=said, size=("n", 3, "h", "w"))
    with pytest.raises(CannotAdd, match=sentence) as caught:
        add(file, folder)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("network", "task", "sentence"),
    [
        (SegmentationModel, "segment", "task is 'segment'; allowed is 'detect'"),
        (ClassificationModel, "classify", "task is 'classify'; allowed is 'detect'"),
        (SegmentationModel, "detect", "head is Segment; allowed are Detect, v10Detect, RTDETRDecoder"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(tmp_path, folder, network, task, sentence):
    yaml = {SegmentationModel: "yolov8n-seg.yaml", ClassificationModel: "yolov8n-cls.yaml"}[network]
    held = {"model": network(yaml, nc=3, verbose=False), "train_args": {"imgsz": 64, "task": task}}
    torch.save(held, tmp_path / "other.pt")
    with pytest.raises(CannotAdd, match=sentence):
        add(tmp_path / "other.pt", folder)
    assert list(folder.iterdir()) == []


def test_a_checkpoint_must_name_the_classes_that_its_network_knows(tmp_path, folder):
    with pytest.raises(CannotAdd, match=r"classes 'human' and 'person' are both 'person'"):
        add(checkpoint(tmp_path / "x.pt", "yolov8n", names={0: "human", 1: "person"}), folder)
    with pytest.raises(CannotAdd, match=r"4 channels; allowed are 3"):
        add(checkpoint(tmp_path / "x.pt", "yolov8n", channels=4), folder)
    torch.save({"model": {"weight": torch.zeros(3)}}, tmp_path / "y.pt")
    (tmp_path / "z.pt").write_text("nothing at all")
    for name in ("y.pt", "z.pt"):
        with pytest.raises(CannotAdd, match="cannot be opened as an ultralytics checkpoint") as caught:
            add(tmp_path / name, folder)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_takes_a_spec_by_hand_too(tmp_path, folder, spec_file):
    """Two names that mean one class to us may be two to the user. The engine `torch` can run it as well."""
    file = checkpoint(tmp_path / "x.pt", "yolov8n", names={0: "human", 1: "person"})
    spec = dataclasses.replace(
        SPEC, name="crowd", input_name="images", input_width=192, input_height=192, fit="letterbox",
        layout="anchors", box_format="cxcywh-pixels", nms_iou=0.5, pixel_mean=(0.0,) * 3, pixel_std=(1.0,) * 3,
        labels=("near", "far"),
    )  # fmt: skip
    spec_file.write_text(to_toml(spec, "for this test"))
    assert add(file, folder, spec=spec_file) == "crowd"
    source = sources(folder)["crowd"]()
    assert source.spec.labels == ("near", "far")
    engine = TorchEngine(load_network(source.family, source.head, source.weights), source.head, "cpu")
    pixels = np.zeros((1, 3, 192, 192), np.uint8)
    np.testing.assert_array_equal(engine.infer(pixels), source.reference().infer(pixels))


@pytest.mark.parametrize(
    ("different", "sentence"),
    [
        ({"labels": ("red", "green")}, "has a class outside 0..1"),
        (
            {"row": ("box", "class", "score")},
            r"does not answer what its spec says: detection \d has a (score|class) outside",
        ),
        ({"layout": "anchors"}, r"does not answer what its spec says: .*\[7, n\], not \[3, 6\]"),
        ({"max_detections": 300}, "answers 3 rows; max_detections is 300, not 3"),
        ({"box_format": "cxcywh-unit"}, "box_format is cxcywh-unit.* of an input of 64 x 32; the other unit"),
        ({"output_name": "boxes"}, "no output 'boxes', as its spec says, but 'found'"),
    ],
)
def test_a_spec_that_the_network_contradicts_is_refused(tmp_path, folder, spec_file, different, sentence):
    spec_file.write_text(to_toml(dataclasses.replace(SPEC, **different), "for this test"))
    with pytest.raises(CannotAdd, match=sentence):
        add(bright(tmp_path / "x.onnx"), folder, spec=spec_file)
    assert list(folder.iterdir()) == []


def test_every_refusal_is_an_error_of_ours(tmp_path, folder):
    with pytest.raises(CrossfadeError):
        add(bright(tmp_path / "x.onnx"), folder, spec=tmp_path / "nowhere.toml")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.text(), st.floats(1e-9, 1e9))
def test_a_spec_survives_being_written(labels, title, scale):
    spec = dataclasses.replace(
        SPEC, labels=tuple(labels), title=title, pixel_scale=scale, serving=Serving(3, 8, 30.0)
    )
    assert DetectorSpec.from_table(tomllib.loads(to_toml(spec, "written by hand"))) == spec


PAGE = (Path(added.__file__).parents[3] / "docs" / "own-detector.md").read_text()


def test_the_page_for_users_shows_the_spec_that_is_tested_and_names_every_field():
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    tested = DetectorSpec.from_table(tomllib.loads(lamps.SPEC))
    assert DetectorSpec.from_table(tomllib.loads(shown)) == tested
    for field in (*DetectorSpec.__dataclass_fields__, *Serving.__dataclass_fields__):
        assert re.search(rf"`(\[serving\] )?{field}`", PAGE) or field == "serving", field
