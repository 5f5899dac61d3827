"""INT8 and scaled decoding are kept only with their parity figure, and only if that is small enough."""

from pathlib import Path

import pytest

from ai.core.image import decode
from ai.triton import repository
from ai.triton.comparing import certificate, parity_data
from ai.triton.comparing.certificate import FILE
from ai.triton.embedded.settings import read_settings
from ai.triton.inside.engines import build_engine, build_pipeline
from ai.triton.repository import CannotBuild, Options
from ai.triton.stored.served import Served
from ai.triton.trial import figure_of, keep_figure
from tests import pictures
from tests.tiny import tiny_source

pytestmark = pytest.mark.beside


@pytest.fixture
def calibrated(tmp_path) -> Options:
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(pictures.jpeg(pictures.scene()))
    return Options(precision="int8", calibration=tuple(sorted(tmp_path.glob("*.jpg"))))


def test_an_int8_build_comes_with_its_figure_or_not_at_all(tmp_path, calibrated):
    settings = read_settings(crossfade_var=tmp_path / "var", triton_repository=tmp_path / "models")
    source, told = tiny_source(tmp_path), []

    def figure(max_loss: float) -> certificate.Certificate:
        return figure_of(settings, "tiny", source, calibrated, max_loss, told.append)

    found = figure(max_loss=0.01)
    assert found.subject.precision == "int8"
    [built] = repository.build(settings.triton_repository, {"tiny": source}, calibrated, told.append)
    keep_figure(settings.triton_repository, built, found)
    version = settings.triton_repository / "tiny_jpeg" / "1"
    assert certificate.load(version / FILE) == found
    assert build_engine(Served.load(version), version, 1).device == "cpu"

    with pytest.raises(CannotBuild, match=r"tiny in int8 is not kept: mAP differs by 0\.0000"):
        figure(max_loss=-1)
    assert not list(Path(settings.crossfade_var).glob("trial-*")), "nothing of a trial is left"


def test_scaled_decoding_is_judged_by_pictures_that_it_makes_smaller(tmp_path, monkeypatch):
    """Small ones would be decoded whole, and pass whatever it does."""
    monkeypatch.setattr(
        parity_data, "LARGE", ((130, 128), (200, 300))
    )  # twice the tiny input, and quicker drawn
    settings = read_settings(crossfade_var=tmp_path / "var", triton_repository=tmp_path / "models")
    source, options = tiny_source(tmp_path), Options(decode="scaled")
    assert options.approximates
    found = figure_of(settings, "tiny", source, options, 1.0, lambda _: None)
    large = parity_data.drawn(found.data.pictures, sizes=parity_data.LARGE)
    assert found.data.digest == large.digest
    [built] = repository.build(settings.triton_repository, {"tiny": source}, options, lambda _: None)
    version = settings.triton_repository / built.model / str(built.version)
    served = Served.load(version)
    assert served.decode == "scaled"
    sizes = []
    monkeypatch.setattr(
        "ai.core.processing.decode",
        lambda data, limits, least: sizes.append(least) or decode(data, limits, least),
    )
    pipeline = build_pipeline(served, build_engine(served, version, 1), 1)
    pipeline.detect([pictures.jpeg(pictures.scene(256, 256))])
    pipeline.close()
    assert sizes == [(64, 64)]
