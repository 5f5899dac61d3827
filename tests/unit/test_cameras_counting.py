"""What becomes of frames adds up, whatever cameras and backends do, and whenever it is ended."""

import asyncio
import random
import time

from backend.cameras.answers import Failure
from backend.cameras.opening import Camera
from backend.cameras.player import play
from backend.footage import NoFootage
from tests.camera_parts import Pictures, answer

KINDS = ("away", "late", "busy", "refused", "odd")


class MoodyCamera(Pictures):
    def __init__(self, chance):
        super().__init__(count=chance.choice([3, 12, 10**9]))
        self._chance = chance

    def picture(self, number, at_s):
        mood = self._chance.random()
        if mood < 0.1:
            raise NoFootage("spoilt")
        if mood < 0.3:
            time.sleep(0.05 * mood)
        return super().picture(number, at_s) if mood > 0.2 else None


class MoodyBackend:
    def __init__(self, chance):
        self._chance = chance

    async def detect(self, picture, camera):
        await asyncio.sleep(60 if self._chance.random() < 0.05 else 0.04 * self._chance.random())
        if self._chance.random() < 0.5:
            return answer([])
        return Failure(self._chance.choice(KINDS), 0.0, "mood", None, self._chance.choice([None, 0.0, 0.03]))


async def played(seed):
    chance, stop = random.Random(seed), asyncio.Event()
    asyncio.get_running_loop().call_later(0.6 * chance.random(), stop.set)
    cameras = [
        Camera(str(number), MoodyCamera(chance), chance.choice([5, 60, 120]))
        for number in range(chance.randint(1, 4))
    ]
    limits = chance.choice([{}, {"frames": 7}, {"frames": 40}, {"seconds": 0.2}])
    return cameras, await play(cameras, MoodyBackend(chance), stop=stop, **limits)


async def test_each_frame_that_was_due_is_counted_once_and_nothing_is_left_under_way(monkeypatch):
    monkeypatch.setattr("backend.cameras.playing.GRACE_S", 0.05)
    monkeypatch.setattr("backend.cameras.backoff.FIRST_S", 0.01)
    ends = await asyncio.gather(*map(played, range(24)))
    await asyncio.sleep(0)

    assert len(asyncio.all_tasks()) == 1
    for cameras, all_of_them in ends:
        assert all(camera.source.closed for camera in cameras)
        for one in all_of_them:
            assert one.due == one.sent + one.dropped + one.no_picture
            assert one.sent == one.answered + sum(one.failed.values())
            assert min(one.sent, one.dropped, one.no_picture) >= 0
    failed = {kind for _, all_of_them in ends for one in all_of_them for kind in one.failed}
    assert len(failed) > 3  # they were moody
