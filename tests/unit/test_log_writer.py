"""A stream that cannot be written for a while: nothing that it cost is forgotten."""

from __future__ import annotations

import errno
import json

from backend.observe.writer import Writer

PLACES = 3


class FullDisk:
    """Nothing can be written until there is room."""

    def __init__(self) -> None:
        self.is_full = True
        self.text = ""

    def write(self, text: str) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.text += text

    def flush(self) -> None: ...


def test_what_several_failed_writes_lost_is_said_in_full():
    stream = FullDisk()
    writer = Writer(stream, "json", places=PLACES, gather_s=30)
    writer.close()  # from here on each line is a batch of its own
    for number in range(7):
        writer(f"lost {number}")
    stream.is_full = False
    writer("kept")
    line, note = stream.text.splitlines()
    assert line == "kept"
    assert (json.loads(note)["event"], json.loads(note)["count"]) == ("log_lines_dropped", 7)


def test_what_found_no_place_is_not_forgotten_where_the_note_of_it_cannot_be_written():
    stream = FullDisk()
    writer = Writer(stream, "json", places=PLACES, gather_s=30)
    for number in range(PLACES + 40):
        writer(f"lost {number}")
    writer.close()
    stream.is_full = False
    writer("kept")
    assert json.loads(stream.text.splitlines()[1])["count"] == PLACES + 40
