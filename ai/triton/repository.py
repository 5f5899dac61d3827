"""Builds the model repository: from detectors and their weights to folders that a Triton serves.

Only what changed is built: a version carries the fingerprint of everything that it was made from.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx

from ai.core.errors import CrossfadeError
from ai.engines.quantize import quantize
from ai.terminal.progress import Bars, Progress, progress
from ai.triton.building import tensorrt
from ai.triton.building.source import Source
from ai.triton.building.tuning import tune
from ai.triton.building.words import BUILD_ENGINES
from ai.triton.stored import versions
from ai.triton.stored.config import Batching, Kind, ModelPlan, config_text
from ai.triton.stored.served import GRAPH, WEIGHTS, EngineName, Served

SHIM = Path(__file__).parent / "model_repository" / "model.py"
FINGERPRINT = "fingerprint"
FORMAT = 1  # goes up when versions are written in another way

CPU = Batching(max_batch=8, preferred=(4, 8), delay_us=0, queue_size=64)  # the cores are busy, not waiting
GPU = Batching(max_batch=32, preferred=(4, 8, 16, 32), delay_us=1000, queue_size=256)
STREAMING = Batching(max_batch=8, preferred=(4, 8), delay_us=100, queue_size=64, ordered=True)
BATCH = Batching(max_batch=128, preferred=(32, 64, 128), delay_us=5000, queue_size=512)
TENSORRT = Batching(max_batch=8, preferred=(4, 8), delay_us=500, queue_size=64)

GPU_INSTANCES = 4  # of a model that decodes there: they share one network, and keep it busy


class CannotBuild(CrossfadeError):
    pass


@dataclass(frozen=True, slots=True)
class Options:
    """What a repository is built for."""

    engine: str = "openvino"
    precision: str = "f32"
    decode: str = "gpu"  # where the engine torch decodes JPEGs; `scaled`: on the processor, and smaller
    also: tuple[str, ...] = ()
    bounded_queue: bool = False
    calibration: tuple[Path, ...] = ()  # pictures for int8
    compiled: Path | None = None  # an engine file for tensorrt
    tuned: bool = False  # the engine torch compiles its network for this machine's GPU
    instances: int = 0  # of each model; 0: as many as its spec says, or the engine has usually

    @property
    def on_gpu(self) -> bool:
        return self.engine == "torch"

    @property
    def approximates(self) -> bool:
        """What it answers may differ from legacy by more than rounding: it has to be compared before it is kept."""
        return self.precision == "int8" or self.decode == "scaled"

    @property
    def batching(self) -> Batching:
        return self.queued({"torch": GPU, "tensorrt": TENSORRT}.get(self.engine, CPU))

    def queued(self, batching: Batching) -> Batching:
        return replace(batching, bounded=self.bounded_queue)


@dataclass(frozen=True, slots=True)
class Built:
    detector: str
    model: str
    version: int
    changed: bool


@dataclass(frozen=True, slots=True)
class _Model:
    """A planned model, and what its version folder holds beside its description."""

    plan: ModelPlan
    served: Served | None  # None: a backend of Triton's own runs the graph
    source: Source


def build(
    repository: Path,
    sources: dict[str, Source],
    options: Options,
    tell: Callable[[str], None],
    bars: Bars = progress,
) -> list[Built]:
    """Bring the repository up to date for these detectors; others in it are left alone."""
    repository.mkdir(parents=True, exist_ok=True)
    planned = [(name, model) for name, source in sources.items() for model in _models(name, source, options)]
    built = []
    what = f"build for {options.engine} {options.precision}"
    with _alone(repository), _bench_in(repository) as bench, bars(what, len(planned), "models") as bar:
        workshop = _Workshop(repository, options, bench, bar)
        for name, model in planned:
            one = workshop.build(name, model)
            bar.say(
                f"{one.model}: version {one.version} {'built' if one.changed else 'is up to date'}", to=tell
            )
            bar.advance()
            built.append(one)
        bar.note("")
    return built


@contextmanager
def _alone(repository: Path) -> Iterator[None]:
    with (repository / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotBuild(f"another build is at work in {repository}; wait for it") from error
        yield


@contextmanager
def _bench_in(repository: Path) -> Iterator[Path]:
    """A fresh one: what a killed build left on its bench may be of another precision, or half."""
    for left_over in repository.glob(".workshop*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".workshop-", dir=repository) as bench:
        yield Path(bench)


def _models(name: str, source: Source, options: Options) -> Iterator[_Model]:
    source = _as_often(source, options.instances)
    batching = options.batching.for_spec(source.spec)
    yield _python_model(f"{name}_jpeg", "jpeg", source, batching, options)
    if options.engine == "tensorrt":
        plan = ModelPlan(name, "tensor", source.spec, batching, on_gpu=True, platform="tensorrt_plan")
        yield _Model(plan, None, source)
    elif "tensors" in options.also:
        yield _python_model(name, "tensor", source, batching, options)
    if "raw" in options.also and options.engine == "tensorrt":
        raise CannotBuild("--also raw is not for --engine tensorrt")
    if "raw" in options.also and source.raw is not None:
        raw = _as_often(source.raw(), options.instances)
        yield _python_model(f"{name}_raw", "tensor", raw, batching, options)
    if "tiers" in options.also:
        yield _python_model(
            f"{name}_jpeg_streaming", "jpeg", source, options.queued(STREAMING).within(source.spec), options
        )
        yield _python_model(
            f"{name}_jpeg_batch", "jpeg", source, options.queued(BATCH).within(source.spec), options
        )


def _as_often(source: Source, instances: int) -> Source:
    if not instances:
        return source
    serving = replace(source.spec.serving, instances=instances)
    return replace(source, spec=replace(source.spec, serving=serving))


def _python_model(name: str, kind: Kind, source: Source, batching: Batching, options: Options) -> _Model:
    in_container = options.engine == "tensorrt"
    if options.engine == "torch" and source.family is None:
        raise CannotBuild(
            f"the engine 'torch' needs a network's weights; {source.spec.name} is a graph alone"
        )
    served = Served(
        spec=source.spec,
        engine="bls" if in_container else _engine_name(options.engine),
        precision=options.precision,
        source=source.fingerprint,
        batch_sizes=_sizes(options.batching.for_spec(source.spec) if in_container else batching),
        family=source.family,
        head=source.head,
        decode=_decode(options),
        tuned=options.tuned,
        tensor_model=source.spec.name if in_container else None,
    )
    usual = GPU_INSTANCES if kind == "jpeg" and served.decode == "gpu" else 1
    plan = ModelPlan(name, kind, source.spec, batching, options.on_gpu, in_container, usual_instances=usual)
    return _Model(plan, served, source)


def _decode(options: Options) -> Literal["cpu", "gpu", "scaled"]:
    if options.decode == "scaled":
        return "scaled"
    return "gpu" if options.on_gpu and options.decode == "gpu" else "cpu"


def _engine_name(engine: str) -> EngineName:
    match engine:
        case "openvino" | "onnxruntime" | "torch":
            return engine
    raise CannotBuild(f"engine {engine!r}: allowed are {', '.join(BUILD_ENGINES)}")


def _sizes(batching: Batching) -> tuple[int, ...]:
    """The batch sizes that an engine with fixed sizes prepares: powers of two up to the largest."""
    powers = [2**n for n in range(batching.max_batch.bit_length()) if 2**n <= batching.max_batch]
    return tuple(sorted({*powers, batching.max_batch}))


class _Workshop:
    """Builds models; a graph that several of them need is exported at most once, when first needed."""

    def __init__(self, repository: Path, options: Options, bench: Path, bar: Progress) -> None:
        self.repository = repository
        self.options = options
        self._bench = bench
        self._bar = bar

    def build(self, detector: str, model: _Model) -> Built:
        folder = self.repository / model.plan.name
        self._bar.note(f"{model.plan.name}: what changed?")
        fingerprint = _fingerprint(model, self.options)
        known = versions.numbers(folder)
        if known and _fingerprint_of(folder / str(known[-1])) == fingerprint:
            versions.settle(folder)
            return Built(detector, model.plan.name, known[-1], changed=False)
        self._bar.note(f"{model.plan.name}: writing a new version")
        _write_aside(folder / "warmup" / model.plan.warm_up_file, model.plan.warm_up)
        number = versions.add(folder, lambda aside: self._fill(aside, model, fingerprint))
        versions.forget_old(folder)
        return Built(detector, model.plan.name, number, changed=True)

    def _fill(self, aside: Path, model: _Model, fingerprint: str) -> None:
        (aside / versions.CONFIG).write_text(config_text(model.plan, self._output_shape(model.source)))
        (aside / FINGERPRINT).write_text(fingerprint)
        if model.served is None:
            tensorrt.fill(aside, model.plan, self._graph(model.source), self.options.compiled)
            return
        shutil.copyfile(SHIM, aside / "model.py")
        model.served.save(aside)
        if model.served.engine == "torch":
            if model.source.weights is not None:
                _copy_weights(model.source.weights, aside / WEIGHTS)
            if model.served.tuned:
                self._bar.note(f"{model.plan.name}: compiling it for this GPU, which takes minutes")
                tune(aside, self.repository)
        elif model.served.engine != "bls":
            shutil.copyfile(self._graph(model.source), aside / GRAPH)

    def _graph(self, source: Source) -> Path:
        graph = self._bench / source.fingerprint / GRAPH
        if not graph.exists():
            graph.parent.mkdir(parents=True, exist_ok=True)
            self._bar.note(f"{source.spec.name}: exporting its graph")
            source.write_onnx(graph)
            if self.options.precision == "int8":
                quantize(graph, source.spec, self.options.calibration, self._calibrated)
        return graph

    def _calibrated(self, pictures: int) -> None:
        self._bar.note(f"calibrating: {pictures:,} of {len(self.options.calibration):,} pictures")

    def _output_shape(self, source: Source) -> tuple[int, ...]:
        if source.spec.layout == "rows":
            return source.spec.max_detections, 6
        output = onnx.load(str(self._graph(source)), load_external_data=False).graph.output[0]
        return tuple(one.dim_value for one in output.type.tensor_type.shape.dim[1:])


def _fingerprint(model: _Model, options: Options) -> str:
    """Of all that decides a version: the weights, the way they are served, and the code that writes it."""
    digest = hashlib.sha256()
    alike = replace(options, also=(), calibration=(), compiled=None)  # other models, and names of files
    for part in (model.plan, model.served, model.source.fingerprint, alike, SHIM.read_bytes(), FORMAT):
        digest.update(repr(part).encode())
    for file in (*options.calibration, *([options.compiled] if options.compiled else [])):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _copy_weights(weights: Path, place: Path) -> None:
    if not weights.is_file():
        raise CannotBuild(
            f"the engine 'torch' needs the file itself: {weights} is a name, and not fetched yet"
        )
    shutil.copyfile(weights, place)


def _fingerprint_of(version: Path) -> str | None:
    try:
        return (version / FINGERPRINT).read_text()
    except OSError:
        return None


def _write_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(content)
    aside.replace(path)
