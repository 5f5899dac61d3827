"""A camera and a backend for tests of the player: both say what became of them."""

import asyncio

from ai.core.labels import COCO_80
from ai.demo.live import HEIGHT, WIDTH
from backend.cameras.answers import Answer
from backend.cameras.errors import Ended

FPS = 5.0


class Pictures:
    """A source that says how many of its pictures were taken; `count` of them, or without end."""

    def __init__(self, count=10**9, missing=()):
        self.taken, self.closed, self._count, self._missing = [], False, count, missing

    def prepare(self):
        pass

    def picture(self, number, at_s):
        if number >= self._count:
            raise Ended(self._count)
        if number in self._missing:
            return None
        self.taken.append(number)
        return b"%d" % number

    def close(self):
        self.closed = True


class Answering:
    """A backend that takes its time, and says how many requests of a camera it ever had at once."""

    def __init__(self, took_s=0.0, outcome=None):
        self.took_s, self.outcome = took_s, outcome
        self.asked, self.at_once, self.most_at_once = [], {}, 0

    async def detect(self, picture, camera):
        self.asked.append(picture)
        self.at_once[camera] = self.at_once.get(camera, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[camera])
        await asyncio.sleep(self.took_s)
        self.at_once[camera] -= 1
        return self.outcome or answer([])


def answer(boxes, scores=0.9, class_id=0, size=(WIDTH, HEIGHT), took_s=0.01, side="legacy"):
    found = [
        {"class": COCO_80[class_id], "class_id": class_id, "confidence": scores,
         "bbox": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}}
        for x1, y1, x2, y2 in boxes
    ]  # fmt: skip
    return Answer(took_s, *size, found, {"backend": side, "fallback_reason": None})
