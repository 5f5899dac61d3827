"""Whether a parity certificate stands for what Triton serves: the ramp takes no step without one.

`crossfade models parity` writes them; here they are read again when their file has changed. Where the model repository
is at hand, the weights and the engine have to be those that were examined; elsewhere model and version must do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ai.triton.comparing.certificate import (
    FILE,
    BadCertificate,
    Certificate,
    Standing,
    Subject,
    covers,
    load,
)
from ai.triton.embedded.settings import read_settings as read_embedded_settings
from ai.triton.stored.served import FILE as SERVED_FILE
from ai.triton.stored.served import NotServable, Served
from ai.triton.stored.versions import numbers
from backend.settings import Settings

Stamp = tuple[int, int]  # when the file was written, and how long it is


class Certificates:
    """It reads files: not to be asked from the event loop."""

    def __init__(self, folder: Path, models: Mapping[str, str], repository: Path | None = None) -> None:
        self._folder = folder
        self._models = models
        self._repository = repository
        self._read: dict[Path, tuple[Stamp, Certificate | BadCertificate]] = {}

    @classmethod
    def of(cls, settings: Settings) -> Certificates:
        repository = read_embedded_settings().triton_repository
        return cls(settings.crossfade_var / "parity", settings.triton_models, repository)

    def standing(self, detector: str, version: str = "") -> Standing:
        """For the version that Triton answers with; without one, for the newest that could be served."""
        model = self._models.get(detector)
        if model is None:
            return Standing(False, f"{detector} has no model that a certificate could be about")
        version = version or self._newest(model)
        verdicts = [self._verdict(one, model, version) for one in self._of(detector)]
        holding = next((verdict for verdict in verdicts if verdict.holds), None)
        return holding or self._none(detector, version, verdicts)

    def _none(self, detector: str, version: str, verdicts: list[Standing]) -> Standing:
        if verdicts:
            return verdicts[-1]
        about = f"{detector}, version {version}" if version else detector
        return Standing(
            False, f"there is no parity certificate for {about}; `crossfade models parity` makes one"
        )

    def _verdict(self, read: Certificate | BadCertificate, model: str, version: str) -> Standing:
        if isinstance(read, BadCertificate):
            return Standing(False, str(read))
        subject = read.subject
        if subject.model != model:
            return Standing(False, f"the certificate is for the model {subject.model}, not {model}")
        if version and subject.version != version:
            return Standing(
                False, f"another model version answers: {version}, the certificate is for {subject.version}"
            )
        try:
            return covers(read, self._wanted(subject))
        except NotServable as error:
            return Standing(False, str(error))

    def _of(self, detector: str) -> Iterator[Certificate | BadCertificate]:
        for path in sorted((self._folder / detector).glob(f"*/{FILE}")):
            read = self._current(path)
            if isinstance(read, BadCertificate) or read.subject.detector == detector:
                yield read

    def _current(self, path: Path) -> Certificate | BadCertificate:
        try:
            stat = path.stat()
        except OSError as error:
            return BadCertificate(f"{path}: {error}")
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, _loaded(path))
        return known[1]

    def _newest(self, model: str) -> str:
        known = numbers(self._repository / model) if self._repository else []
        return str(known[-1]) if known else ""

    def _wanted(self, subject: Subject) -> Subject:
        """What lies in the repository; where that is elsewhere, what the certificate says. Doubt raises NotServable."""
        folder = self._repository / subject.model / subject.version if self._repository else None
        if folder is None or not (folder / SERVED_FILE).is_file():
            return subject
        served = Served.load(folder)
        engine = "tensorrt" if served.engine == "bls" else served.engine  # as `models parity` calls it
        return replace(subject, engine=engine, precision=served.precision, fingerprint=served.source)


def _loaded(path: Path) -> Certificate | BadCertificate:
    try:
        return load(path)
    except BadCertificate as error:
        return error
