"""How a command ends, for scripts: one table, and the one place that makes a status of an error."""

from __future__ import annotations

from enum import IntEnum

import httpx

from backend.stack.backend_api import Away, NotAnswered


class Status(IntEnum):
    DONE = 0
    NOT_DONE = 1  # it was tried and failed, or something is wrong
    WORDS = 2  # the command was not understood
    AWAY = 3  # no backend was reached
    REFUSED = 4  # the backend was asked, and said no
    NOT_HERE = 5  # this machine lacks what it takes
    INTERRUPTED = 130  # as a shell tells the end by Ctrl-C
    NOBODY_LISTENS = 141  # as a shell tells the end by a broken pipe


MEANING = {
    Status.DONE: "done, and all is well",
    Status.NOT_DONE: "tried, and it failed, or something is wrong",
    Status.WORDS: "the words were not understood (compare: it could not be compared)",
    Status.AWAY: "no backend was reached",
    Status.REFUSED: "the backend refused: the key, the state of the rollout, or what was asked",
    Status.NOT_HERE: "it cannot be done here: this machine lacks what it takes (bench)",
    Status.INTERRUPTED: "ended by Ctrl-C, or asked to end",
    Status.NOBODY_LISTENS: "nobody read on of what has no end",
}

_REFUSALS = {
    httpx.codes.UNAUTHORIZED,
    httpx.codes.FORBIDDEN,
    httpx.codes.CONFLICT,
    httpx.codes.PRECONDITION_FAILED,
    httpx.codes.UNPROCESSABLE_ENTITY,
}


def status_of(error: BaseException) -> Status:
    match error:
        case KeyboardInterrupt():
            return Status.INTERRUPTED
        case Away():
            return Status.AWAY
        case NotAnswered(status=said) if said in _REFUSALS:
            return Status.REFUSED
    return Status.NOT_DONE


def worst_of(statuses: list[Status]) -> Status:
    """Of many things that were tried: what all that failed have in common, and NOT_DONE where that is nothing."""
    failed = {status for status in statuses if status is not Status.DONE}
    if not failed:
        return Status.DONE
    return failed.pop() if len(failed) == 1 else Status.NOT_DONE
