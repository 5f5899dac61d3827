"""A small slice of the fuzzing, and proof that it finds what there is to find; the whole is `make fuzz`."""

from __future__ import annotations

import pytest

from tests.api_parts import KEYS, running, settings_of, sides_of
from tests.fuzz import api
from tests.fuzz.mishaps import MISHAPS
from tests.fuzz.overseer import Overseer
from tests.fuzz.tally import Tally, table_of
from tests.fuzz.target import ACCEPTED, random_of
from tests.fuzz.targets import TARGETS

CASES = {"triton-line-grpc": 60, "triton-line-http": 60, "legacy-line": 100}
USUAL_CASES = 500
FIRST = 100  # those before are giants, which take seconds
SLICE = [name for name in TARGETS if name not in ("mishaps", "served")]


@pytest.mark.parametrize("name", SLICE)
def test_spoiled_cases_come_to_what_was_promised(name: str) -> None:
    """Each is accepted as what it says, or refused with one of our own errors; and both happen."""
    target = TARGETS[name]()
    try:
        numbers = range(FIRST, FIRST + CASES.get(name, USUAL_CASES))
        kinds = {target.ask(target.make(number, random_of(0, name, number))) for number in numbers}
    finally:
        target.close()
    assert ACCEPTED in kinds
    assert len(kinds) > 1 or name == "exif", kinds


@pytest.mark.parametrize("name", SLICE)
def test_a_case_can_be_made_again(name: str) -> None:
    """Seed, target and number are all that it is made of."""
    target, again = TARGETS[name](), TARGETS[name]()
    try:
        for number in range(FIRST, FIRST + 20):
            assert target.make(number, random_of(0, name, number)) == again.make(
                number, random_of(0, name, number)
            )
    finally:
        target.close()
        again.close()


def test_each_broken_promise_is_found_and_laid_to_its_case(tmp_path) -> None:
    """Negative control: a crash, a hang and five lesser ones, and every case between them is asked."""
    tally = Overseer("mishaps", 0, 20, tmp_path, stall_s=4.0).run()
    found = {defect.number: defect.kind for defect in tally.defects}
    assert found == {number: kind for number, (kind, _) in MISHAPS.items()}
    assert {tmp_path / f"mishaps-0-{number}.bin" for number in MISHAPS} == set(tmp_path.iterdir())
    assert (tmp_path / "mishaps-0-3.bin").read_bytes() == b"3"
    assert tally.cases == 20
    assert "mishaps" in table_of([tally])


def test_stories_over_the_api_end_well(tmp_path) -> None:
    """With keys of every role and without; `make fuzz` tells more of them to a whole backend."""
    tally = Tally(api.NAME, 0)
    with running(settings_of(tmp_path, api_keys=KEYS, log_sample=0.0), sides_of()) as running_api:
        api.tell_stories(running_api.url, tally, 15, seconds=60)
    assert [defect.line() for defect in tally.defects] == []
    assert tally.kinds[ACCEPTED] > 0


def test_an_answer_that_is_not_as_documented_is_noted(tmp_path, monkeypatch) -> None:
    """Negative control: where nothing may be answered with 200, each story ends in a defect."""
    monkeypatch.setattr(api, "CHECKS", [_nothing_is_well])
    tally = Tally(api.NAME, 0)
    with running(settings_of(tmp_path, log_sample=0.0), sides_of()) as running_api:
        api.tell_stories(running_api.url, tally, 2)
    assert tally.defects
    assert "planned" in tally.defects[0].words


def _nothing_is_well(*_: object) -> None:
    raise AssertionError("planned")
