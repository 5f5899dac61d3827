"""Parity against a real Triton: what was built passes, and what is wrong on the server fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ai.core.errors import CrossfadeError
from ai.triton.building.catalogue import built_in
from ai.triton.comparing import certificate
from ai.triton.comparing.certificate import Certificate, Subject
from ai.triton.comparing.parity_data import drawn
from ai.triton.embedded.settings import EmbeddedSettings, read_settings
from ai.triton.parity import ParityOptions, run_parity
from ai.triton.repository import Options, build
from ai.triton.server import TritonServer
from ai.triton.stored.served import FILE, Served

pytestmark = pytest.mark.beside

SCENES = 20
MODEL = "yolo26_jpeg"
PORTS = {"triton_http_port": 0, "triton_grpc_port": 0, "triton_metrics_port": 0}


@pytest.fixture(scope="module")
def source():
    return built_in("yolo26")


@pytest.fixture(scope="module")
def settings(source, tmp_path_factory) -> EmbeddedSettings:
    """A repository with the demo YOLO26 on OpenVINO, as `crossfade models build` makes it."""
    folder = tmp_path_factory.mktemp("parity")
    build(folder / "models", {"yolo26": source}, Options(), print)
    return read_settings(triton_repository=folder / "models", crossfade_var=folder / "var", **PORTS)


@pytest.fixture(scope="module")
def triton(settings):
    with TritonServer(settings) as server:
        yield server.running


def outcome(settings, source, options) -> tuple[int, list[str], Certificate]:
    told: list[str] = []
    code = run_parity(settings, {"yolo26": source}, options, told.append)
    return (
        code,
        told,
        certificate.load(settings.crossfade_var / "parity" / "yolo26" / "openvino" / "parity.json"),
    )


def labelled_folder(folder: Path) -> Path:
    """Six scenes as files, the last cut short, with labels as COCO writes them."""
    images, annotations = [], []
    for index, picture in enumerate(drawn(6).pictures):
        encoded = picture.encoded if index < 5 else picture.encoded[:-2000]
        (folder / f"{index}.jpg").write_bytes(encoded)
        images.append({"id": index, "file_name": f"{index}.jpg"})
        for (x1, y1, x2, y2), category in zip(
            picture.truth.boxes.tolist(), picture.truth.class_ids, strict=True
        ):
            annotations.append(
                {"image_id": index, "category_id": int(category), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            )
    categories = [{"id": number, "name": name} for name, number in
                  (("person", 0), ("bicycle", 1), ("car", 2), ("truck", 7), ("cat", 15), ("dog", 16))]  # fmt: skip
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(table))
    return folder / "labels.json"


def test_what_was_built_passes_in_batches_that_triton_made(settings, source, triton):
    """The whole way, against the server that runs with this repository, and a certificate that counts for it."""
    code, told, found = outcome(settings, source, ParityOptions(scenes=SCENES))
    assert code == 0, told
    assert "Starting a Triton for this" not in told
    assert [level.batch for level in found.levels] == [1, 4, 8]
    for level in found.levels:
        pictures = sum(size * count for size, count in level.batches_seen.items())
        assert level.batches_seen[level.batch] >= 1
        assert pictures >= SCENES  # the supervisor's own inferences count too
    assert found.data.pictures == SCENES
    assert found.versions["tritonserver"].startswith("2.")
    wanted = Subject("yolo26", MODEL, "1", "openvino", "f32", source.fingerprint)
    assert certificate.covers(found, wanted).holds
    page = settings.crossfade_var / "parity" / "yolo26" / "openvino" / "index.html"
    assert "parity <span" in page.read_text()
    assert f"{MODEL} version 1 on openvino (f32): parity passed" in "\n".join(told)


def test_a_picture_that_neither_side_can_read_fails_by_its_name(settings, source, triton, tmp_path):
    options = ParityOptions(images=tmp_path, labels=labelled_folder(tmp_path), batches=(2,))
    code, told, found = outcome(settings, source, options)
    assert code == 1
    assert "5.jpg: " in found.reference.unanswered[0]
    assert "5.jpg: Refused: " in found.levels[0].unanswered[0]
    assert found.levels[0].agreement.disagreements == 0
    assert "parity FAILED" in told[-1]


def test_a_server_that_resizes_wrongly_fails(settings, source, tmp_path):
    """The fault lies on the server, where nobody but parity would see it: every answer is well formed."""
    copy = tmp_path / "models"
    shutil.copytree(settings.triton_repository / MODEL, copy / MODEL)
    served = copy / MODEL / "1" / FILE
    table = json.loads(served.read_text())
    table["spec"]["fit"] = "stretch"
    served.write_text(json.dumps(table))
    assert Served.load(served.parent).spec.fit == "stretch"
    own = settings.model_copy(update={"triton_repository": copy, "crossfade_var": tmp_path / "var"})
    code, told, found = outcome(own, source, ParityOptions(scenes=SCENES, batches=(1,)))
    assert code == 1
    assert "Starting a Triton for this" in told
    assert "mAP50-95 differs" in " ".join(found.problems)


def test_a_model_that_is_not_served_fails_without_a_certificate(settings, source, triton, tmp_path):
    """It came into the repository after the server was started, and was never loaded."""
    shutil.copytree(settings.triton_repository / MODEL, settings.triton_repository / "yolo26")
    told: list[str] = []
    options = ParityOptions(scenes=8, batches=(1,), output=tmp_path)
    assert run_parity(settings, {"yolo26": source}, options, told.append) == 1
    assert any(line.startswith("yolo26: parity FAILED: ") and "unknown model" in line for line in told)
    with pytest.raises(CrossfadeError, match="no certificate"):
        certificate.load(tmp_path / "yolo26" / "openvino-tensor" / "parity.json")
