"""Plots: what they draw is where the numbers say, and whatever they are named after cannot break out."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.report.plots import WIDTH, BandPoint, BarRow, Bin, Mark, band, bars, histogram, shortened

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text):
    return ET.fromstring(text)


def of_class(picture, name):
    return [one for one in picture.iter() if name in (one.get("class") or "").split()]


def ms(value):
    return f"{value:g} ms"


def test_of_two_sides_each_is_drawn_as_its_own_share():
    """1,000 times of one side must not flatten 10 of the other."""
    picture = drawn(histogram([Bin(1, 2, (1000, 0)), Bin(2, 4, (0, 10))], ("a", "b"), "t", ms))

    paths = [one.get("d") for one in of_class(picture, "area")]
    tops = [min(float(point.split(",")[1]) for point in path.strip("MZ").split("L")) for path in paths]
    assert len(tops) == 2
    assert tops[0] == tops[1]


def test_a_mark_stands_at_its_value():
    bins = [Bin(1, 10, (1, 1)), Bin(10, 100, (1, 1))]
    picture = drawn(histogram(bins, ("a", "b"), "t", ms, [Mark(10, 1, "p95 10 ms")]))

    (mark,) = of_class(picture, "mark")
    assert float(mark.get("x1")) == pytest.approx((52 + WIDTH - 12) / 2, abs=1)
    assert any("p95" in (one.text or "") for one in picture.iter(f"{SVG}text"))


def test_nothing_to_show_is_no_picture():
    assert histogram([], ("a", "b"), "t", ms) == ""
    assert histogram([Bin(1, 2, (0, 0))], ("a", "b"), "t", ms) == ""
    assert band([], 0.01, "t", ms) == ""
    assert bars([], "t", "d") == ""


def test_the_band_lies_round_the_line_and_the_bound_where_it_is():
    points = [BandPoint(100, 0.01, 0.0, 0.05), BandPoint(1000, 0.002, 0.0, 0.01)]
    picture = drawn(band(points, 0.005, "t", ms))

    (line,), (area,), (bound,) = (of_class(picture, name) for name in ("middle", "band", "bound"))
    last = float(line.get("points").split()[-1].split(",")[1])
    edge = [tuple(map(float, one.split(","))) for one in area.get("points").split()]
    rightmost = [y for x, y in edge if x == max(x for x, _ in edge)]
    assert min(rightmost) < last < max(rightmost) + 0.1
    assert min(rightmost) < float(bound.get("y1")) < last


def test_a_bars_part_is_as_long_as_it_says():
    picture = drawn(bars([BarRow("a", 200, 50, ""), BarRow("b", 100, 0, "")], "t", "d"))

    whole = [float(one.get("width")) for one in of_class(picture, "bar")]
    (part,) = of_class(picture, "barpart")
    assert whole[0] == pytest.approx(2 * whole[1], rel=0.01)
    assert float(part.get("width")) == pytest.approx(whole[0] / 4, rel=0.01)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_any_name_is_text_and_never_markup(name):
    for text in (
        bars([BarRow(name, 1, 0, name)], name, name),
        histogram([Bin(1, 2, (1, 1))], (name, name), name, ms, [Mark(1.5, 0, name)]),
        band([BandPoint(1, 0, 0, 1)], None, name, lambda _: name),
    ):
        assert {one.tag for one in drawn(text).iter()} <= {
            SVG + tag
            for tag in ("svg", "title", "desc", "rect", "text", "path", "line", "polyline", "polygon")
        }


def test_long_names_are_cut_where_there_is_no_room():
    assert shortened("a" * 19) == "a" * 19
    assert shortened("a" * 20) == "a" * 18 + "…"
