"""`crossfade models`: the detectors that a Triton here can serve, built, listed, added, compared.

Runs as `python -m ai.triton.models`, in a process of its own, because it needs torch and the command does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.engines.quantize import pictures_in
from ai.engines.weights import WeightsNotFound, WrongWeights
from ai.terminal.ending import complain, ended
from ai.terminal.interrupting import let_through
from ai.terminal.printable import printable, spelt_out
from ai.terminal.progress import Bars, progress, silent
from ai.triton import repository
from ai.triton.building import added, catalogue
from ai.triton.building.activation import Activation, activate
from ai.triton.building.inventory import inventory
from ai.triton.building.words import parser
from ai.triton.embedded import record
from ai.triton.embedded.settings import EmbeddedSettings, read_settings
from ai.triton.parity import Outcome, ParityOptions, outcomes
from ai.triton.repository import Built, CannotBuild, Options
from ai.triton.trial import figure_of, keep_figure

FAILURES = (CrossfadeError, WeightsNotFound, WrongWeights)


@dataclass(frozen=True, slots=True)
class Voice:
    """What is said on the way: lines and bars; with --json lines on stderr alone, and the document at the end."""

    as_json: bool

    @property
    def bars(self) -> Bars:
        return silent if self.as_json else progress

    def tell(self, text: str) -> None:
        stream = sys.stderr if self.as_json else sys.stdout
        if stream is not None:
            for line in text.split("\n"):
                print(spelt_out(stream, printable(line)), file=stream, flush=True)

    def document(self, document: object) -> None:
        if self.as_json and sys.stdout is not None:
            print(json.dumps(document, indent=2))


@dataclass(slots=True)
class Done:
    """What a build came to; `activations` only where a server runs with the repository."""

    built: list[Built] = field(default_factory=list)
    activations: list[Activation] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(one.failure for one in self.activations)

    @property
    def document(self) -> dict[str, object]:
        return {
            "built": [asdict(one) for one in self.built],
            "taken_into_service": [asdict(one) for one in self.activations],
        }


def main(arguments: Sequence[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    sys.exit(ended(partial(_run, args), "crossfade models", args.trace))


def _run(args: argparse.Namespace) -> int:
    let_through()  # `crossfade models` put it off until all was imported
    try:
        return _COMMANDS[args.what](args, read_settings(triton_repository=args.repository), Voice(args.json))
    except FAILURES as error:
        complain(f"crossfade models: {error}")
        return 1


def _build(args: argparse.Namespace, settings: EmbeddedSettings, voice: Voice) -> int:
    known = catalogue.all_sources(settings.crossfade_var)
    sources = {name: known[name]() for name in catalogue.choose(known, args.detectors)}
    options = _options(args)
    figures = {
        name: figure_of(settings, name, source, options, args.max_loss, voice.tell, voice.bars)
        for name, source in sources.items() if options.approximates
    }  # fmt: skip
    done = Done()
    for name, source in sources.items():  # one by one: what is built serves, also when the next one fails
        built = repository.build(settings.triton_repository, {name: source}, options, voice.tell, voice.bars)
        for one in built:
            if figure := figures.get(one.detector):
                keep_figure(settings.triton_repository, one, figure)
        _take_into_service(settings, built, done, voice)
    voice.document(done.document)
    return int(done.failed)


def _options(args: argparse.Namespace) -> Options:
    if args.precision and args.engine != "openvino":
        raise CannotBuild(f"--precision {args.precision} is for --engine openvino, not {args.engine}")
    approximate = "--precision int8" if args.precision == "int8" else "--decode scaled"
    if args.also and (args.precision == "int8" or args.decode == "scaled"):
        raise CannotBuild(f"{approximate} and --also do not go together: only what is compared is kept")
    if (args.precision == "int8") != bool(args.calibrate):
        raise CannotBuild("--precision int8 and --calibrate FOLDER (pictures like those to come) go together")
    if args.compiled and (
        args.engine != "tensorrt" or len(args.detectors) != 1 or not args.compiled.is_file()
    ):
        raise CannotBuild("--compiled FILE is an engine file for --engine tensorrt and one DETECTOR")
    if args.tuned and args.engine != "torch":
        raise CannotBuild("--tuned is for --engine torch: the other engines compile their graphs anyway")
    return Options(
        engine=args.engine,
        precision=args.precision or ("f16" if args.engine in {"torch", "tensorrt"} else "f32"),
        decode=args.decode,
        also=tuple(sorted(set(args.also))),
        bounded_queue=args.bounded_queue,
        calibration=pictures_in(args.calibrate) if args.calibrate else (),
        compiled=args.compiled,
        tuned=args.tuned,
        instances=args.instances,
    )


def _take_into_service(settings: EmbeddedSettings, built: list[Built], done: Done, voice: Voice) -> None:
    """A server that runs with this repository takes the new versions now."""
    done.built += built
    triton = record.running(settings.crossfade_var)
    if triton is None or Path(triton.repository).resolve() != settings.triton_repository.resolve():
        return
    taken = activate(triton, built)
    for one in taken:
        voice.tell(one.sentence)
    done.activations += taken


def _add(args: argparse.Namespace, settings: EmbeddedSettings, voice: Voice) -> int:
    """Bring it, build it, and see that Triton answers as its own network does."""
    folder = catalogue.detectors_in(settings.crossfade_var)
    name = added.add(args.file, folder, name=args.name, spec=args.spec, replace=args.replace)
    spec = folder / name / added.SPEC
    voice.tell(f"{name}: added, its spec is {spec}")
    brought = {"detector": name, "spec": str(spec)}
    if args.no_build:
        voice.document(brought)
        return 0
    sources = {name: catalogue.all_sources(settings.crossfade_var)[name]()}
    done = Done()
    built = repository.build(settings.triton_repository, sources, Options(), voice.tell, voice.bars)
    _take_into_service(settings, built, done, voice)
    compared = [] if done.failed else outcomes(settings, sources, ParityOptions(), voice.tell, voice.bars)
    failed = done.failed or not all(one.passed for one in compared)
    if failed:
        voice.tell(f"If {name} knows other things than the drawn scenes show, compare on pictures that show them:\n"
                   f"  crossfade models parity {name} --images FOLDER --labels COCO.json")  # fmt: skip
    voice.document({**brought, **done.document, "parity": _documents(compared)})
    return int(failed)


def _parity(args: argparse.Namespace, settings: EmbeddedSettings, voice: Voice) -> int:
    known = catalogue.all_sources(settings.crossfade_var)
    built = [name for name in known if (settings.triton_repository / f"{name}_jpeg").is_dir()]
    names = catalogue.choose(known, args.detectors or built)
    sources = {name: known[name]() for name in names}
    options = ParityOptions(args.scenes, args.images, args.labels, tuple(args.batches), args.output)
    compared = outcomes(settings, sources, options, voice.tell, voice.bars)
    passed = all(one.passed for one in compared)
    voice.document({"passed": passed, "models": _documents(compared)})
    return 0 if passed else 1


def _documents(compared: Sequence[Outcome]) -> list[dict[str, object]]:
    return [
        {
            "model": one.model,
            "passed": one.passed,
            "problem": one.problem,
            "page": str(one.page) if one.page else None,
            "certificate": json.loads(one.certificate.to_json()) if one.certificate else None,
        }
        for one in compared
    ]


def _list(args: argparse.Namespace, settings: EmbeddedSettings, voice: Voice) -> int:
    rows = inventory(settings.triton_repository, record.running(settings.crossfade_var))
    if args.json:
        voice.document([row.to_table() for row in rows])
    elif not rows:
        voice.tell(f"{settings.triton_repository} holds no models; `crossfade models build` makes some")
    else:
        voice.tell("\n".join([f"{'model':24} {'version':>7}  {'engine':12} {'input':9} {'batch':>5}  state",
                              *(str(row) for row in rows)]))  # fmt: skip
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace, EmbeddedSettings, Voice], int]] = {
    "build": _build, "add": _add, "parity": _parity, "list": _list,
}  # fmt: skip


if __name__ == "__main__":
    main()
