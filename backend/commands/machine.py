"""`crossfade serve`, `models` and `doctor`: the backend alone, what a Triton serves, and what is wrong here."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict

from ai.terminal.interrupting import put_off
from ai.triton.building import words as model_words
from backend import doctor
from backend.commands.statuses import Status
from backend.commands.words import Commands, add, tell, tell_document
from backend.settings import Settings, read_settings, whole_environment
from backend.stack.plan import command_of


def add_words(commands: Commands) -> None:
    serve = add(commands, "serve", _serve, "the backend alone, in the foreground",
                "As production runs it: the sides are wherever RTDETR_URL, YOLO26_URL and TRITON_URL say.\n"
                "  crossfade serve\n"
                "  RTDETR_URL=http://10.0.0.7:8090 crossfade serve --workers 4")  # fmt: skip
    serve.add_argument("--workers", type=int, metavar="N", help="processes (WORKERS, 1)")
    models = add(commands, "models", lambda *_: 0, model_words.ABOUT, model_words.EXAMPLES)
    model_words.add_to(models)
    models.set_defaults(alone=_models)
    examine = add(commands, "doctor", lambda *_: 0, doctor.ABOUT, doctor.EXAMPLES)
    doctor.add_to(examine)
    examine.set_defaults(alone=_doctor)  # it reads the settings itself, to say what is wrong with them


def _models(args: argparse.Namespace) -> int:
    """In this process' place: it needs torch, and nothing else here does."""
    words: list[str] = args.words
    after = words[words.index("models") + 1 :]
    trace = ["--trace"] if args.trace else []
    put_off()
    os.execve(  # noqa: S606 - our own module, the caller's own words
        sys.executable, command_of("ai.triton.models", *trace, *after), whole_environment()
    )


def _doctor(args: argparse.Namespace) -> int:
    """Each finding as soon as it is made: some take seconds."""
    found = []
    for finding in doctor.findings(args):
        found.append(finding)
        if not args.json:
            tell(*finding.lines)
    if args.json:
        tell_document([asdict(finding) for finding in found])
    failed = any(finding.level == "FAIL" for finding in found)
    return Status.NOT_DONE if failed else Status.DONE


def _serve(args: argparse.Namespace, settings: Settings) -> int:
    """In this process' place, so that signals reach it and its exit status is the command's."""
    if args.workers is not None:
        settings = read_settings(workers=args.workers)
    os.execve(  # noqa: S606 - our own module
        sys.executable,
        command_of("backend.serve"),
        {**whole_environment(), "WORKERS": str(settings.workers)},
    )
