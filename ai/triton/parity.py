"""Does Triton see what legacy sees? `run_parity` asks both, writes a certificate and a page, and says so in a line.

Legacy is torch in this process, the way its service takes; Triton is the server that runs with this repository,
or one that is started for the occasion.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ai.core.errors import BackendError, CrossfadeError
from ai.engines.torch_engine import TorchEngine
from ai.terminal.progress import Bars, progress
from ai.triton.building.source import Source
from ai.triton.building.words import SCENES_ON_CPU, SCENES_ON_GPU
from ai.triton.client import TritonClient
from ai.triton.comparing import parity_data
from ai.triton.comparing.certificate import FILE, PAGE, Certificate, Subject
from ai.triton.comparing.parity_data import LabelledSet, Tell
from ai.triton.comparing.parity_exam import Candidate, Legacy, Report, ask_legacy, examine
from ai.triton.comparing.parity_page import page
from ai.triton.comparing.parity_sides import InProcess, TritonModel
from ai.triton.embedded import record
from ai.triton.embedded.record import RunningTriton
from ai.triton.embedded.settings import EmbeddedSettings
from ai.triton.server import TritonServer
from ai.triton.stored import versions
from ai.triton.stored.config import read_config
from ai.triton.stored.served import NotServable, Served


class CannotCompare(CrossfadeError):
    pass


@dataclass(frozen=True, slots=True)
class ParityOptions:
    scenes: int | None = None  # drawn, or of a folder the first ones; None: enough, or the whole folder
    images: Path | None = None
    labels: Path | None = None
    batches: tuple[int, ...] = ()  # none: one, and those that the model's batcher prefers
    output: Path | None = None  # None: `parity` beside the logs


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one model; without a certificate where it could not be asked at all, and then why."""

    model: str
    certificate: Certificate | None = None
    page: Path | None = None
    problem: str | None = None

    @property
    def passed(self) -> bool:
        return self.certificate is not None and self.certificate.passed


def run_parity(
    settings: EmbeddedSettings,
    sources: Mapping[str, Source],
    options: ParityOptions,
    tell: Tell,
    bars: Bars = progress,
) -> int:
    """0 if every model of these detectors passes, 1 if one does not."""
    return 0 if all(one.passed for one in outcomes(settings, sources, options, tell, bars)) else 1


def outcomes(
    settings: EmbeddedSettings,
    sources: Mapping[str, Source],
    options: ParityOptions,
    tell: Tell,
    bars: Bars = progress,
) -> list[Outcome]:
    """One for each model of these detectors."""
    models = {name: models_of(settings.triton_repository, name, source) for name, source in sources.items()}
    pictures = _pictures(options, _newest(settings.triton_repository, models), tell, bars)
    output = options.output or settings.crossfade_var / "parity"
    with _triton(settings, _needed(settings.triton_repository, models), output, tell) as triton:
        run = _Run(settings.triton_repository, triton, options.batches, pictures, output, tell, bars)
        return asyncio.run(run.all_of(sources, models))


def models_of(repository: Path, name: str, source: Source) -> list[str]:
    """The models of a repository that should see what this detector's legacy side sees."""
    newest = {
        folder.name: _served(folder, versions.numbers(folder)[-1])
        for folder in sorted(repository.glob("*"))
        if versions.numbers(folder)
    }
    own = [model for model, served in newest.items() if served and served.source == source.fingerprint]
    if own:
        return own
    if f"{name}_jpeg" in newest:
        raise CannotCompare(
            f"{repository / name}_jpeg was built from other weights; run `crossfade models build {name}`"
        )
    raise CannotCompare(f"{repository} holds no model of {name}; run `crossfade models build {name}`")


def _needed(repository: Path, models: Mapping[str, Sequence[str]]) -> set[str]:
    """These, and those that they hand their pixels to."""
    own = {model for found in models.values() for model in found}
    served = [_served(repository / model, versions.numbers(repository / model)[-1]) for model in own]
    return own | {one.tensor_model for one in served if one and one.tensor_model}


def _served(folder: Path, version: int) -> Served | None:
    try:
        return Served.load(folder / str(version))
    except NotServable:
        return None  # a graph that another backend runs


def _newest(repository: Path, models: Mapping[str, Sequence[str]]) -> list[Served]:
    newest = {model: versions.numbers(repository / model)[-1] for found in models.values() for model in found}
    return [Served.load(repository / model / str(version)) for model, version in newest.items()]


def _enough(served: Sequence[Served]) -> int:
    return SCENES_ON_GPU if any(one.engine in {"torch", "bls"} for one in served) else SCENES_ON_CPU


def _telling_sizes(served: Sequence[Served]) -> parity_data.Sizes:
    """Smaller pictures would be decoded whole, and say nothing of a decoder that leaves pixels out."""
    return parity_data.LARGE if any(one.decode == "scaled" for one in served) else parity_data.SIZES


def _pictures(options: ParityOptions, served: Sequence[Served], tell: Tell, bars: Bars) -> LabelledSet:
    if options.scenes is not None and options.scenes < 1:
        raise CannotCompare(f"--scenes is {options.scenes}; it must be at least 1")
    if (options.images is None) != (options.labels is None):
        raise CannotCompare("--images FOLDER and --labels ANNOTATIONS.json go together")
    if options.images is not None and options.labels is not None:
        pictures = parity_data.folder(options.images, options.labels, options.scenes)
    else:
        count = options.scenes or _enough(served)
        tell(f"Drawing {count} labelled scenes")
        pictures = parity_data.drawn(count, bars, _telling_sizes(served))
    count = len(pictures.pictures)
    if any(not 1 <= batch <= count for batch in options.batches):
        raise CannotCompare(
            f"--batches is {list(options.batches)}; each must be from 1 to the {count} pictures"
        )
    return pictures


@contextmanager
def _triton(
    settings: EmbeddedSettings, models: Collection[str], output: Path, tell: Tell
) -> Iterator[RunningTriton]:
    """The one that runs with this repository; or a new one, on free ports, for these models alone."""
    running = record.running(settings.crossfade_var)
    if running is not None and Path(running.repository).resolve() == settings.triton_repository.resolve():
        yield running
        return
    own = {"triton_http_port": 0, "triton_grpc_port": 0, "triton_metrics_port": 0}
    tell("Starting a Triton for this")
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        for model in models:
            (Path(folder) / model).symlink_to((settings.triton_repository / model).absolute())
        alone = {**own, "crossfade_var": output / ".server", "triton_repository": Path(folder)}
        with TritonServer(settings.model_copy(update=alone), tell) as server:
            yield server.running


@dataclass(frozen=True, slots=True)
class _Run:
    repository: Path
    triton: RunningTriton
    batches: tuple[int, ...]
    pictures: LabelledSet
    output: Path
    tell: Tell
    bars: Bars

    async def all_of(
        self, sources: Mapping[str, Source], models: Mapping[str, Sequence[str]]
    ) -> list[Outcome]:
        found = []
        async with TritonClient.at(self.triton.grpc_url) as client:
            for name, source in sources.items():
                legacy = await self._legacy(name, source)
                for model in models[name]:
                    found.append(await self._one(client, name, model, legacy))  # noqa: PERF401 - one by one
        return found

    async def _legacy(self, name: str, source: Source) -> Legacy:
        engine = source.reference()
        kind = "torch" if isinstance(engine, TorchEngine) else "onnxruntime"
        self.tell(
            f"{name}: legacy ({kind} on {engine.device}) looks at {len(self.pictures.pictures)} pictures"
        )
        side = InProcess(engine, source.spec)
        return await ask_legacy(side, kind, str(engine.device), source.spec.labels, self.pictures, self.bars)

    async def _one(self, client: TritonClient, name: str, model: str, legacy: Legacy) -> Outcome:
        try:
            candidate = await self._candidate(client, name, model)
            report = await examine(legacy, candidate, self.pictures, self.bars)
        except BackendError as error:  # a picture that is not answered is told of in the certificate
            self.tell(f"{model}: parity FAILED: {error}")
            return Outcome(model, problem=str(error))
        folder = self.output / candidate.subject.folder
        write(report, folder)
        self.tell(f"{verdict(report.certificate)}\n  {folder / PAGE}")
        return Outcome(model, report.certificate, folder / PAGE)

    async def _candidate(self, client: TritonClient, name: str, model: str) -> Candidate:
        """What the server serves now, which need not be the newest version in the folder."""
        version = (await client.model_metadata(model)).newest
        served = Served.load(self.repository / model / version)
        config = read_config(self.repository / model / version / versions.CONFIG)
        sizes = self.batches or tuple(sorted({1, *config.dynamic_batching.preferred_batch_size}))
        engine = "tensorrt" if served.engine == "bls" else served.engine
        on_gpu = any(group.kind == group.KIND_GPU for group in config.instance_group)
        return Candidate(
            Subject(name, model, version, engine, served.precision, served.source),
            "cuda" if on_gpu or engine == "tensorrt" else "cpu",
            TritonModel(client, model, version),
            sizes,
            self._server_version(),
        )

    def _server_version(self) -> str:
        try:
            answer = httpx.get(f"http://{self.triton.http_url}/v2", timeout=5, trust_env=False)
            return str(answer.json()["version"])
        except (httpx.TransportError, ValueError, KeyError):
            return "unknown"


def write(report: Report, folder: Path) -> None:
    """The certificate last: where it is new, the page is too."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ((PAGE, page(report)), (FILE, report.certificate.to_json())):
        aside = folder / f".{name}.part"
        aside.write_text(text, encoding="utf-8")
        aside.replace(folder / name)


def verdict(certificate: Certificate) -> str:
    subject = certificate.subject
    who = f"{subject.model} version {subject.version} on {subject.engine} ({subject.precision})"
    if not certificate.passed:
        return f"{who}: parity FAILED: {'; '.join(certificate.problems)}"
    sizes = ", ".join(str(level.batch) for level in certificate.levels)
    return (
        f"{who}: parity passed: mAP50-95 {certificate.reference.map50_95:.4f}, "
        f"{certificate.worst_map_difference:+.5f} at most, in batches of {sizes}"
    )
