"""A ramp in words, for a terminal and for a pipe. Pure: a table of the API in, lines out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.ramp.phrases import duration, percent

Ramp = Mapping[str, Any]
Ramps = Mapping[str, Ramp]

BAR_WIDTH = 40
_DONE, _LEFT = "█", "░"
_QUESTION_WIDTH = len("disagreement")


def described(ramps: Ramps) -> list[str]:
    """Everything that is known of each."""
    lines: list[str] = []
    for detector, ramp in sorted(ramps.items()):
        lines += [f"{detector}  {steps_of(ramp)}", f"  {bar_of(ramp)}  {where_of(ramp)}"]
        lines += [f"  {line}" for line in _details(ramp)]
    return lines or ["No ramp was started yet; `crossfade ramp start` starts one."]


def one_line(detector: str, ramp: Ramp) -> str:
    return f"{detector}: {where_of(ramp)}: {sentence_of(ramp)}"


def turn_of(ramp: Ramp) -> tuple[object, ...]:
    """What has to change for a pipe to get another line; figures alone do not."""
    look = ramp["look"] or {}
    about = ("id", "tries", "phase", "step", "paused", "approved", "ended")
    return (*(ramp[name] for name in about), look.get("action"), look.get("fault"))


def is_over(ramp: Ramp) -> bool:
    """At the last step for good, or ended."""
    return ramp["phase"] in ("watching", "ended")


def ended_badly(ramp: Ramp) -> bool:
    """A ramp that went well ends nowhere: it watches."""
    return bool(ramp["phase"] == "ended")


def steps_of(ramp: Ramp) -> str:
    """The current one in brackets, those that wait for approval with a mark."""
    return " > ".join(_step(ramp, index) for index in range(len(ramp["steps"])))


def bar_of(ramp: Ramp) -> str:
    filled = round(BAR_WIDTH * float(ramp["effective"]))
    return _DONE * filled + _LEFT * (BAR_WIDTH - filled)


def where_of(ramp: Ramp) -> str:
    words = [str(ramp["phase"])]
    if ramp["phase"] == "running":
        words = [f"step {ramp['step'] + 1} of {len(ramp['steps'])} ({percent(ramp['fraction'])})"]
    words += ["dry run"] if ramp["dry_run"] else []
    words += ["paused"] if ramp["paused"] and ramp["phase"] != "ended" else []
    return ", ".join(words)


def sentence_of(ramp: Ramp) -> str:
    look = ramp["look"]
    if ramp["ended"]:
        return str(ramp["ended"])
    if ramp["paused"]:
        return f"paused {ramp['paused']}" if ramp["paused"].startswith("by ") else f"paused: {ramp['paused']}"
    return str(look["words"]) if look else "not looked at yet"


def _step(ramp: Ramp, index: int) -> str:
    step = ramp["steps"][index]
    mark = (
        " (to be approved)"
        if step in ramp["gates"] and step > ramp["approved"] and index > ramp["step"]
        else ""
    )
    return f"[{percent(step)}]" if index == ramp["step"] else percent(step) + mark


def _details(ramp: Ramp) -> list[str]:
    look = ramp["look"] or {}
    lines = [sentence_of(ramp)]
    lines += [f"the last look  {look['words']}"] if look and sentence_of(ramp) != look["words"] else []
    lines += [f"what is wrong  {look['fault']}"] if look.get("fault") else []
    lines += [_answer(answer) for answer in look.get("answers", ())]
    lines += [f"waits for      {words}" for words in look.get("waits_for", ())]
    lines += [f"next step      in about {duration(look['eta_s'])}"] if look.get("eta_s") is not None else []
    lines += [f"Triton         {percent(ramp['asked'])} asked for, {percent(ramp['effective'])} in effect"]
    return lines + ([f"forced         {ramp['forced']}"] if ramp["forced"] else [])


def _answer(answer: Mapping[str, Any]) -> str:
    asked = answer["worse"] + answer["same"] + answer["better"]
    about = f"{asked:,} of about {answer['needed']:,}" if answer["needed"] else f"{asked:,}"
    return f"{answer['question']:{_QUESTION_WIDTH}}   {about}; {_rate(answer)}; at most {percent(answer['bound'])}"


def _rate(answer: Mapping[str, Any]) -> str:
    if answer["rate"] is None:
        return "no rate yet"
    if answer["low"] is None or answer["high"] is None:
        return percent(answer["rate"])
    return f"{percent(answer['rate'])}, surely {percent(answer['low'])} to {percent(answer['high'])}"


def cut(lines: Sequence[str], width: int) -> list[str]:
    """None of them goes on in a second row: what is drawn over has to be known."""
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]
