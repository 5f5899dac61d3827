"""What each side holds in an open loop: the ratios of the rounds, and what the page says of them."""

import json
from dataclasses import asdict

import pytest

from benchmarks.machine import this_machine
from benchmarks.rate.page import as_text, figures, ratios_of
from benchmarks.rate.plot import draw

pytestmark = pytest.mark.beside


def tried(rate_rps: float, p95_ms: float | None, held: bool, timeouts: int = 0) -> dict:
    window = {"p95_ms": p95_ms, "busy": 0, "errors": {"timeout": timeouts} if timeouts else {}}
    return {"rate_rps": rate_rps, "windows": [window], "held": held}


def found(number: int, side: str, rate_rps: float, other: float = 0.0) -> dict:
    held = {
        "limit_ms": 200.0, "rate_rps": rate_rps, "p95_ms": 150.0 if rate_rps else None,
        "tried": [tried(rate_rps, 150.0, True), tried(rate_rps + 10, None, False, timeouts=7)],
    }  # fmt: skip
    return {"round": number, "side": side, "closed_rps": 12.0, "held": held, "other_cpu_cores": other}


def result(*rounds: tuple[float, float], other: float = 0.0) -> dict:
    """Of each round what legacy held, and what Triton held."""
    settings = {
        "limit_ms": 200.0,
        "arrivals": "poisson",
        "seconds": 8.0,
        "rounds": len(rounds),
        "size": "640x360",
    }
    both = [
        found(number, side, rate, other)
        for number, rates in enumerate(rounds)
        for side, rate in zip(("legacy", "triton"), rates, strict=True)
    ]
    return {
        "machine": asdict(this_machine()), "date": "2026-01-01T00:00:00", "commit": None,
        "jpeg_bytes": 9000, "settings": settings, "found": both[::-1],
    }  # fmt: skip


def test_a_ratio_is_of_one_round_and_the_median_counts() -> None:
    """Medians of 10 and 40 would make 4.0; of the rounds' own ratios it is 3.0."""
    drifting = result((10.0, 30.0), (5.0, 40.0), (20.0, 50.0))
    assert sorted(ratios_of(drifting["found"], "triton")) == [2.5, 3.0, 8.0]
    assert "| Triton | 40.0 | 30.0..50.0 | 150.0 | 12.0 | 3.00 (2.50..8.00) |" in figures(drifting)


def test_a_round_in_which_legacy_held_nothing_has_no_ratio() -> None:
    text = as_text(result((0.0, 30.0)))
    assert ratios_of(result((0.0, 30.0))["found"], "triton") == []
    assert "0.0..0.0" in text


@pytest.mark.parametrize("words", [figures, as_text])
def test_every_rate_that_was_tried_is_shown_and_what_failed_in_it(words) -> None:
    rows = [line for line in words(result((10.0, 30.0))).splitlines() if "40.0" in line]
    assert len(rows) == 1
    assert [word for word in rows[0].replace("|", " ").split() if word in {"7", "no", "-"}] == [
        "-",
        "7",
        "no",
    ]


def test_it_says_when_others_took_the_cores() -> None:
    assert "DISTURBED" in figures(result((10.0, 30.0), other=0.6))
    assert "DISTURBED" not in figures(result((10.0, 30.0)))


def test_the_curve_is_drawn(tmp_path) -> None:
    png, svg = draw(json.loads(json.dumps(result((10.0, 30.0), (12.0, 31.0)))), tmp_path / "rate.json")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "dashed: 200 ms" in svg.read_text()
