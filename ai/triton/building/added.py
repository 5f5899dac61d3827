"""Detectors that were brought here: var/detectors/<name>/ holds detector.toml, the network's spec, and the network.

`crossfade models add` fills it once all that a build will do was tried; from then on it is a source like our own.
An ultralytics `.pt` is a pickle: opening it runs code that it brought along.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.core.spec import DetectorSpec
from ai.engines import onnx_export
from ai.engines.comparison import pictures
from ai.engines.foreign_onnx import ForeignNetwork, convert, read, save
from ai.engines.torch_engine import TorchEngine
from ai.triton.building import facts, facts_onnx, facts_pt
from ai.triton.building.first_look import first_look
from ai.triton.building.source import Source, fingerprint
from ai.triton.inside.families import ANY

SPEC = "detector.toml"
CHECKPOINT = "model.pt"
GRAPH = "model.onnx"

RESERVED = ("rtdetr", "yolo26")
SERVED_AS = ("_jpeg", "_raw", "_streaming", "_batch")  # a model's name is its detector's and one of these


class CannotAdd(CrossfadeError):
    pass


def add(
    file: Path, folder: Path, *, name: str | None = None, spec: Path | None = None, replace: bool = False
) -> str:
    """Bring `file` into `folder`, described by `spec` or by itself; the answer is the detector's name."""
    if file.suffix not in _BRING or not file.is_file():
        raise CannotAdd(f"{file}: {_what_is_wrong(file)}; allowed are a .pt of ultralytics and an .onnx file")
    told = DetectorSpec.load(spec) if spec else None
    name = name or (told.name if told else _name_of(file))
    _require_name(name, folder, replace)
    with _aside(folder) as aside:
        try:
            head = _BRING[file.suffix](file, aside, told, name)
        except CrossfadeError as error:
            raise CannotAdd(f"{file.name}: {error}") from error
        (aside / SPEC).write_text(to_toml(head, f"Came with {file.name}."), encoding="utf-8")
        _move(aside, folder / name)
    return name


def sources(folder: Path) -> dict[str, Callable[[], Source]]:
    """By name; a source is only opened when it is asked for."""
    found = sorted(path.parent for path in folder.glob(f"*/{SPEC}") if not path.parent.name.startswith("."))
    return {one.name: partial(source, one) for one in found}


def source(folder: Path) -> Source:
    head = dataclasses.replace(DetectorSpec.load(folder / SPEC), name=folder.name)
    checkpoint, graph = folder / CHECKPOINT, folder / GRAPH
    if checkpoint.is_file():
        return Source(
            spec=head.exported(),
            fingerprint=fingerprint(checkpoint, repr(head), onnx_export.OPSET),
            write_onnx=lambda output: _export(checkpoint, head, output),
            reference=lambda: TorchEngine(facts_pt.open_network(checkpoint), head),
            family=ANY,
            head=head,
            weights=checkpoint,
        )
    return Source(
        spec=head.with_bytes_in(),
        fingerprint=fingerprint(graph, repr(head)),
        write_onnx=lambda output: _convert(graph, head, output),
        reference=partial(ForeignNetwork, graph, head),
    )


def _export(checkpoint: Path, head: DetectorSpec, output: Path) -> None:
    onnx_export.export(facts_pt.open_network(checkpoint), head, output)


def _convert(graph: Path, head: DetectorSpec, output: Path) -> None:
    convert(graph, head, output)


def _bring_checkpoint(file: Path, aside: Path, told: DetectorSpec | None, name: str) -> DetectorSpec:
    network = facts_pt.open_network(file)
    if told is None:
        known = facts_pt.facts(network)
        unanswered = facts.unanswered(known, name, file.stem)
        answer = TorchEngine(network, unanswered, "cpu").infer(pictures(unanswered)[:1])[0]
        told = facts.answered(unanswered, known, answer)
    first_look(TorchEngine(network, told, "cpu"), told.exported())
    with tempfile.TemporaryDirectory(dir=aside) as attempt:
        onnx_export.export(network, told, Path(attempt) / GRAPH)
    shutil.copyfile(file, aside / CHECKPOINT)
    return dataclasses.replace(told, name=name)


def _bring_graph(file: Path, aside: Path, told: DetectorSpec | None, name: str) -> DetectorSpec:
    model = read(file)
    graph = aside / GRAPH
    save(model, graph)
    if told is None:
        known = facts_onnx.facts(model)
        unanswered = facts.unanswered(known, name, file.stem)
        answer = ForeignNetwork(graph, unanswered).infer(pictures(unanswered)[:1])[0]
        told = facts.answered(unanswered, known, answer)
    first_look(ForeignNetwork(graph, told), told.with_bytes_in())
    with tempfile.TemporaryDirectory(dir=aside) as attempt:
        any_batch = convert(graph, told, Path(attempt) / GRAPH)
    serving = told.serving if any_batch else dataclasses.replace(told.serving, max_batch=1)
    return dataclasses.replace(told, name=name, serving=serving)


_BRING = {".pt": _bring_checkpoint, ".onnx": _bring_graph}


def to_toml(spec: DetectorSpec, comment: str) -> str:
    """What `DetectorSpec.load` reads."""
    table = spec.to_table()
    serving = table.pop("serving")
    lines = [f"# {comment}", *_lines(table), "", "[serving]", *_lines(serving)]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, object]) -> Iterator[str]:
    """A JSON value is a TOML value, but for one character."""
    for key, value in table.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


def _what_is_wrong(file: Path) -> str:
    return f"a {file.suffix or 'nameless kind of'} file" if file.is_file() else "no such file"


def _name_of(file: Path) -> str:
    return re.sub(r"\W+", "_", file.stem, flags=re.ASCII)


def _require_name(name: str, folder: Path, replace: bool) -> None:
    if not (name.isidentifier() and name.isascii()):
        raise CannotAdd(f"a detector cannot be called {name!r}; allowed are letters, digits and _ (--name)")
    if name in RESERVED:
        raise CannotAdd(f"{name} is a detector that Crossfade brings along; take another name (--name)")
    if name.endswith(SERVED_AS):
        raise CannotAdd(f"a detector's name may not end in {', '.join(SERVED_AS)}; {name!r} does (--name)")
    if (folder / name).exists() and not replace:
        raise CannotAdd(f"there is a detector {name} already; take another name (--name), or --replace it")


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=folder))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move(aside: Path, place: Path) -> None:
    """The one that stood there before is gone only once the new one stands."""
    before = aside.with_suffix(".before")
    if place.exists():
        place.rename(before)
    aside.rename(place)
    shutil.rmtree(before, ignore_errors=True)
