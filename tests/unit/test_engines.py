"""Detectors as torch modules and as ONNX files: the same picture, the same boxes, and weights that are found."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel

from ai.core.image import decode
from ai.core.labels import COCO_80
from ai.core.processing import finish, prepare
from ai.core.sample import sample_jpeg
from ai.engines import weights
from ai.engines.onnx_export import ExportDiffers, export
from ai.engines.torch_engine import DetectorModule, TorchEngine, choose_device
from ai.rtdetr.model import detector as rtdetr
from ai.yolo26.model import detector as yolo26

BOTH = pytest.mark.parametrize("detector", [yolo26(), rtdetr()], ids=["yolo26", "rtdetr"])


class Echo(nn.Module):
    """A body that answers one row made of what it was given."""

    def __init__(self, row):
        super().__init__()
        self.register_buffer("row", torch.tensor(row))

    def forward(self, images):
        seen = images.mean(dim=(1, 2, 3))
        rows = self.row.repeat(len(images), 1, 1)
        return torch.cat((rows[..., :4], seen.view(-1, 1, 1), rows[..., 5:]), dim=-1)


def test_pixels_are_normalised_as_the_spec_says():
    spec = dataclasses.replace(
        yolo26().head, pixel_scale=1 / 255, pixel_mean=(0.5,) * 3, pixel_std=(0.25,) * 3
    )
    module = DetectorModule(Echo([1.0, 2.0, 3.0, 4.0, 0.0, 7.0]), spec)
    rows = module(torch.full((1, 3, 64, 64), 204, dtype=torch.uint8))
    np.testing.assert_allclose(rows[0, 0], [1, 2, 3, 4, (0.8 - 0.5) / 0.25, 7], rtol=1e-5)


def test_centres_in_units_become_corners_in_pixels():
    module = DetectorModule(Echo([0.5, 0.25, 0.2, 0.1, 0.0, 3.0]), rtdetr().head)
    rows = module(torch.zeros((1, 3, 640, 640), dtype=torch.uint8))
    np.testing.assert_allclose(rows[0, 0, :4], [256, 128, 384, 192], rtol=1e-5)


@BOTH
def test_an_engine_answers_each_picture_of_a_batch_as_it_answers_it_alone(detector):
    engine = detector.load()
    pixels = np.stack(
        [prepare(decode(sample_jpeg()), detector.spec).pixels, np.zeros((3, 640, 640), np.uint8)]
    )
    together = engine.infer(pixels)
    assert together.shape == (2, 300, 6)
    assert together.dtype == np.float32
    alone = engine.infer(pixels[:1])
    seen = alone[0, :, 4] > 0.25
    assert seen.sum() > 0
    np.testing.assert_allclose(together[0][seen], alone[0][seen], atol=0.05)


@BOTH
def test_the_demo_weights_find_the_objects_of_the_sample_picture(detector):
    """The sample picture shows three cars, a crouching person and a cyclist, who may be missed on the bicycle."""
    prepared = prepare(decode(sample_jpeg()), detector.spec)
    rows = detector.load().infer(prepared.pixels[None])[0]
    seen = [found.label for found in finish(rows, prepared.fit, detector.spec) if found.score >= 0.5]
    assert seen.count("car") >= 3
    assert {"person", "bicycle"} <= set(seen)


@BOTH
def test_an_export_takes_any_batch_and_agrees_with_torch(detector, tmp_path):
    """Checked as it is written; ONNX Runtime then serves batches that were never traced."""
    output = tmp_path / "model.onnx"
    agreement = export(detector.load_module(), detector.head, output)
    assert agreement.boxes >= 3
    assert agreement.least_iou >= 0.99
    session = onnxruntime.InferenceSession(str(output))
    (into,), (out_of,) = session.get_inputs(), session.get_outputs()
    assert (into.name, into.type, into.shape[1:]) == ("images", "tensor(uint8)", [3, 640, 640])
    assert (out_of.name, out_of.shape[1:]) == ("detections", [300, 6])
    for batch in (1, 5):
        rows = session.run(None, {"images": np.zeros((batch, 3, 640, 640), np.uint8)})[0]
        assert rows.shape == (batch, 300, 6)
    assert list(tmp_path.iterdir()) == [output]


class Frozen(nn.Module):
    """Answers by a branch that tracing freezes: on the blank example the export takes the other way."""

    def forward(self, images):
        x1 = 10.0 if float(images.max()) > 0 else 200.0
        row = torch.tensor([x1, 10.0, 300.0, 300.0, 0.9, 2.0]) + 0 * images.sum()
        return row.repeat(len(images), 300, 1)


def test_an_export_that_answers_something_else_is_refused_and_not_written(tmp_path):
    """The negative control of the check above."""
    output = tmp_path / "model.onnx"
    with pytest.raises(ExportDiffers, match="something else"):
        export(Frozen(), yolo26().head, output)
    assert list(tmp_path.iterdir()) == []


def test_weights_survive_a_round_trip_in_half_precision(tmp_path):
    first, second = nn.BatchNorm1d(8), nn.BatchNorm1d(8)
    nn.init.normal_(first.weight)
    first.num_batches_tracked += 70_000
    weights.save_state(first, tmp_path / "w.pt")
    weights.load_state(second, tmp_path / "w.pt")
    torch.testing.assert_close(first.weight, second.weight, atol=2e-3, rtol=1e-3)
    assert second.num_batches_tracked == 70_000
    assert second.weight.dtype == torch.float32


def test_a_weights_file_that_holds_code_is_not_run(tmp_path):
    """Demo weights are tensors only; a pickle that would run something is refused."""
    torch.save({"weight": tmp_path}, tmp_path / "evil.pt")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        weights.load_state(nn.Linear(1, 1), tmp_path / "evil.pt")


@pytest.mark.parametrize("missing", ["/nowhere/model.pt", "models/mine.pt", "yolo26m"])
def test_weights_that_are_not_there_are_named_with_their_variable(missing):
    with pytest.raises(weights.WeightsNotFound, match=r"YOLO26_WEIGHTS=.*no such file; allowed are 'demo'"):
        yolo26().find_weights(missing)


def test_a_name_is_left_to_ultralytics_and_a_path_is_kept(tmp_path):
    own = tmp_path / "own.pt"
    own.write_bytes(b"")
    assert yolo26().find_weights("yolo26m.pt") == "yolo26m.pt"
    assert rtdetr().find_weights(str(own)) == str(own)
    assert rtdetr().find_weights("demo") == "demo"


def test_yolos_own_checkpoints_are_served_with_the_nms_free_head(tmp_path):
    """A checkpoint as ultralytics writes it: the head that needs no NMS is switched on, whatever it was left at."""
    network = weights.load_state(yolo26().build_demo(), yolo26().demo_weights)
    network.end2end = False
    network.names = dict(enumerate(COCO_80))
    ours, theirs = yolo26().load(), yolo26().load(checkpoint(network, tmp_path / "own.pt"))
    pixels = prepare(decode(sample_jpeg()), yolo26().spec).pixels[None]
    np.testing.assert_allclose(ours.infer(pixels), theirs.infer(pixels), atol=0.5)


def checkpoint(network, path):
    torch.save({"model": network, "train_args": {}, "epoch": -1}, path)
    return str(path)


def test_weights_of_another_kind_are_refused_by_name(tmp_path):
    """A YOLOv8 has no NMS-free head; a model of three classes would call its first one a person."""
    other = checkpoint(DetectionModel("yolov8n.yaml", nc=80, verbose=False), tmp_path / "v8.pt")
    with pytest.raises(weights.WrongWeights, match="no NMS-free head"):
        yolo26().load(other)
    few = checkpoint(DetectionModel("yolo26n.yaml", nc=3, verbose=False), tmp_path / "few.pt")
    with pytest.raises(weights.WrongWeights, match="knows 3 classes"):
        yolo26().load(few)


def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path):
    (tmp_path / "notes.pt").write_text("not weights")
    for detector in (yolo26(), rtdetr()):
        with pytest.raises(weights.WrongWeights, match="cannot be loaded"):
            detector.load(str(tmp_path / "notes.pt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told():
    assert choose_device("auto") == "cpu"
    with pytest.raises(ValueError, match="sees no GPU"):
        choose_device("cuda")


def test_the_cpu_runs_full_precision():
    engine = TorchEngine(Echo([0.0] * 6), yolo26().head, "cpu")
    assert not engine.half
    assert engine.module.scale.dtype == torch.float32
