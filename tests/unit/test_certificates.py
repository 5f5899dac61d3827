"""Whether a certificate stands for what Triton serves: files on a disk, as `models parity` leaves them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ai.triton.comparing.certificate import (
    FILE,
    Agreement,
    Certificate,
    Data,
    Level,
    Reference,
    Subject,
    Tally,
)
from ai.triton.stored.served import Served
from ai.yolo26.processing import spec
from backend.ramp.certificates import Certificates
from backend.settings import Settings

MODELS = {"yolo26": "yolo26_jpeg", "rtdetr": "rtdetr_jpeg"}
SUBJECT = Subject("yolo26", "yolo26_jpeg", "3", "openvino", "f32", "f" * 64)


def certificate(*, worse: float = 0.0, **subject: str) -> Certificate:
    agreement = Agreement(200, 0.999, 0.99, 0.98, 0.0001, 0.001, 0.002, {"car": Tally(same=200)})
    return Certificate(
        replace(SUBJECT, **subject), "cpu", Data("drawn", "labels", 400, 1800, ("car",), "d" * 64),
        Reference("torch", "cpu", 0.7, 0.8), (Level(1, {1: 9}, 0.7 - worse, 0.8, agreement),),
        {"python": "3.11"}, "a machine", "2026-11-21", 9.0,
    )  # fmt: skip


class Shelf:
    def __init__(self, folder: Path) -> None:
        self.parity, self.repository = folder / "parity", folder / "models"

    def lay(self, one: Certificate, name: str = "openvino") -> Path:
        path = self.parity / one.subject.detector / name / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.to_json())
        return path

    def serve(self, version: str = "3", **changes: str) -> None:
        folder = self.repository / "yolo26_jpeg" / version
        folder.mkdir(parents=True)
        replace(Served(spec(), "openvino", "f32", "f" * 64, (1,)), **changes).save(folder)  # type: ignore[arg-type]

    @property
    def certificates(self) -> Certificates:
        return Certificates(self.parity, MODELS, self.repository)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_it_stands_for_the_model_and_version_that_it_was_made_with(shelf: Shelf) -> None:
    shelf.lay(certificate())
    standing = shelf.certificates.standing("yolo26", "3")
    assert (standing.holds, standing.reason) == (True, "parity of 400 pictures, 2026-11-21")


def test_another_version_has_none(shelf: Shelf) -> None:
    shelf.lay(certificate())
    standing = shelf.certificates.standing("yolo26", "4")
    assert not standing.holds
    assert standing.reason == "another model version answers: 4, the certificate is for 3"


def test_without_any_it_says_how_one_is_made(shelf: Shelf) -> None:
    standing = shelf.certificates.standing("yolo26", "3")
    assert not standing.holds
    assert "no parity certificate for yolo26, version 3; `crossfade models parity`" in standing.reason


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (certificate(worse=0.01), "parity failed: at batch 1: mAP50-95 differs"),
        (certificate(model="yolo26"), "is for the model yolo26, not yolo26_jpeg"),
    ],
)
def test_what_failed_or_is_about_something_else_does_not_count(
    shelf: Shelf, one: Certificate, words: str
) -> None:
    shelf.lay(one)
    standing = shelf.certificates.standing("yolo26", "3")
    assert not standing.holds
    assert words in standing.reason


def test_one_of_several_is_enough(shelf: Shelf) -> None:
    shelf.lay(certificate(worse=0.01), "openvino")
    shelf.lay(certificate(version="2"), "openvino-old")
    shelf.lay(certificate(engine="torch"), "torch")
    assert shelf.certificates.standing("yolo26", "3").holds


def test_one_of_another_detector_is_not_asked(shelf: Shelf) -> None:
    shelf.lay(certificate(detector="yolo26"))
    assert not shelf.certificates.standing("rtdetr", "3").holds


@pytest.mark.parametrize(
    "changes", [{"source": "e" * 64}, {"precision": "int8"}, {"engine": "onnxruntime"}], ids=str
)
def test_where_the_repository_is_at_hand_weights_and_engine_have_to_be_the_same(
    shelf: Shelf, changes: dict[str, str]
) -> None:
    shelf.lay(certificate())
    shelf.serve(**changes)
    standing = shelf.certificates.standing("yolo26", "3")
    assert not standing.holds
    assert "the certificate is for" in standing.reason


def test_the_same_weights_and_engine_pass(shelf: Shelf) -> None:
    shelf.lay(certificate())
    shelf.serve()
    assert shelf.certificates.standing("yolo26", "3").holds


def test_a_repository_that_cannot_be_read_is_a_doubt_and_doubt_means_no(shelf: Shelf) -> None:
    shelf.lay(certificate())
    shelf.serve()
    (shelf.repository / "yolo26_jpeg" / "3" / "served.json").write_text("{")
    assert not shelf.certificates.standing("yolo26", "3").holds


def test_before_triton_has_answered_the_newest_of_the_repository_is_asked_about(shelf: Shelf) -> None:
    shelf.lay(certificate())
    shelf.serve("3")
    assert shelf.certificates.standing("yolo26").holds
    shelf.serve("4")
    assert not shelf.certificates.standing("yolo26").holds


def test_without_a_repository_any_that_passes_will_do_to_begin_with(shelf: Shelf) -> None:
    shelf.lay(certificate())
    assert Certificates(shelf.parity, MODELS).standing("yolo26").holds


def test_a_file_is_read_again_when_it_has_changed(shelf: Shelf) -> None:
    certificates = shelf.certificates
    path = shelf.lay(certificate(worse=0.01))
    assert not certificates.standing("yolo26", "3").holds
    path.write_text(certificate().to_json() + " ")
    assert certificates.standing("yolo26", "3").holds
    path.write_text("rubbish")
    assert not certificates.standing("yolo26", "3").holds
    path.unlink()
    assert "there is no parity certificate" in certificates.standing("yolo26", "3").reason


def test_a_detector_without_a_model_has_none(shelf: Shelf) -> None:
    assert not shelf.certificates.standing("yolo5", "1").holds


def test_they_lie_where_models_parity_leaves_them(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, crossfade_var=tmp_path)  # type: ignore[call-arg]
    Shelf(tmp_path).lay(certificate(version="987"))
    assert Certificates.of(settings).standing("yolo26", "987").holds


def test_reading_them_needs_no_torch() -> None:
    words = "import sys, backend.ramp.certificates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
