"""The worst pairs in the report's page: the picture once in the file, shown twice, with each side's boxes over it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from backend.sides import LEGACY, SIDES, TRITON, Side

MAX_BYTES = (
    3_500_000  # of pictures as they lie; base64 takes a third more, and the page is to stay under 5 MB
)
SHOWN_BOXES = 60
SAME_IOU = 0.5

_FACING: tuple[tuple[Side, Side], ...] = ((LEGACY, TRITON), (TRITON, LEGACY))

Box = Sequence[float]  # x1, y1, x2, y2, score, class id
Label = Callable[[float], str]  # of a class id


def worst_pairs(report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    shown = "".join(
        _pair(pair, pictures[pair["id"]], number, report)
        for number, pair in enumerate(_that_fit(report["worst"], pictures))
    )
    if not shown:
        return ""
    note = (
        f"Solid lines: {report['names'][LEGACY]}. Dashed: {report['names'][TRITON]}. Thick: what the other side sees "
        "otherwise."
        if report["drawn"]
        else "Red: a box that the other side does not have. Green: both have it."
    )
    kind = "grid" if report["drawn"] else "stack"
    return (
        f'<section><h2>Where they differ most</h2><p class="quiet">{escape(note)}</p>'
        f'<div class="{kind}">{shown}</div></section>'
    )


def _that_fit(
    worst: Sequence[Mapping[str, Any]], pictures: Mapping[str, bytes]
) -> Iterator[Mapping[str, Any]]:
    room = MAX_BYTES
    for pair in worst:
        size = len(pictures.get(pair["id"], b""))
        if size and size <= room:
            room -= size
            yield pair


def _pair(pair: Mapping[str, Any], picture: bytes, number: int, report: Mapping[str, Any]) -> str:
    kinds = "".join(f'<span class="kind">{escape(kind)}</span>' for kind in pair["kinds"])
    camera = f"camera {pair['camera']}" if pair["camera"] else ""
    about = ", ".join(filter(None, (", ".join(pair["labels"]), camera, pair["light"])))
    data = base64.b64encode(picture).decode()
    size = f'width="{int(pair["width"])}" height="{int(pair["height"])}"'
    image = f'<image id="picture{number}" {size} href="data:image/jpeg;base64,{data}"/>'
    shown = _drawn(pair, image, report) if report["drawn"] else _side_by_side(pair, image, number, report)
    return f'<figure class="card pair"><figcaption>{kinds} {escape(about)}</figcaption>{shown}</figure>'


def _drawn(pair: Mapping[str, Any], image: str, report: Mapping[str, Any]) -> str:
    """The boxes are in the picture."""
    said = (
        f"{report['names'][side]}: {_said(pair[side], partial(_label, report['labels']))}" for side in SIDES
    )
    return f'<div class="one">{_half(image, pair, "; ".join(said))}</div>'


def _side_by_side(pair: Mapping[str, Any], image: str, number: int, report: Mapping[str, Any]) -> str:
    names, label = report["names"], partial(_label, report["labels"])
    boxes = {side: [box for box in pair[side] if len(box) >= 6][:SHOWN_BOXES] for side in SIDES}
    halves = []
    for side, other in _FACING:
        shown = image if side == LEGACY else f'<use href="#picture{number}"/>'
        marked = _boxes(boxes[side], boxes[other], int(pair["height"]), label)
        half = _half(shown + marked, pair, f"What {names[side]} saw: {_said(boxes[side], label)}")
        halves.append(f"<div><p>{escape(names[side])}</p>{half}</div>")
    return f'<div class="two">{"".join(halves)}</div>'


def _half(content: str, pair: Mapping[str, Any], title: str) -> str:
    size = f"{int(pair['width'])} {int(pair['height'])}"
    return (
        f'<svg viewBox="0 0 {size}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{content}</svg>"
    )


def _boxes(mine: Sequence[Box], theirs: Sequence[Box], height: int, label: Label) -> str:
    return "".join(_box(box, any(_same(box, other) for other in theirs), height, label) for box in mine)


def _box(box: Box, both: bool, height: int, label: Label) -> str:
    x1, y1, x2, y2, score, class_id = box[:6]
    size = max(9.0, height / 28)
    return (
        f'<rect class="seen{"" if both else " apart"}" fill="none" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" '
        f'height="{y2 - y1:.1f}"/><text x="{x1 + 2:.1f}" y="{max(size, y1 - 4):.1f}" font-size="{size:.1f}">'
        f"{escape(label(class_id))} {score:.2f}</text>"
    )


def _same(one: Box, two: Box) -> bool:
    """Of one class and at one place: what the page shows in green."""
    if one[5] != two[5]:
        return False
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(0.0, width) * max(0.0, height)
    both = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1]) - shared
    return both > 0 and shared / both >= SAME_IOU


def _said(boxes: Sequence[Box], label: Label) -> str:
    return ", ".join(label(box[5]) for box in boxes if len(box) >= 6) or "nothing"


def _label(labels: Mapping[str, str], class_id: float) -> str:
    return labels.get(str(int(class_id)), f"class {int(class_id)}")
