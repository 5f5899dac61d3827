"""How many cameras something holds: the most that lose next to nothing, found by trying. Pure but for the trying."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.steady import Watched

LOST_SHARE = 0.01  # of the frames that fall due, dropped or not answered

Try = Callable[[int], Watched]


def holds(watched: Watched) -> bool:
    """Every hundredth frame may be lost. An answer that is later than the next frame loses that one."""
    return watched.lost_share <= LOST_SHARE


def most_held(attempt: Try, most: int, grain: float = 0.05) -> Watched | None:
    """Doubled until it is too many, then halved in between, to `grain` of the number; None: not even one is held."""
    best: Watched | None = None
    cameras, too_many = 1, most + 1
    while cameras <= most:
        watched = attempt(cameras)
        if not holds(watched):
            too_many = cameras
            break
        best, cameras = watched, cameras * 2
    return best and _closer(attempt, best, too_many, grain)


def _closer(attempt: Try, best: Watched, too_many: int, grain: float) -> Watched:
    while too_many - best.cameras > max(1, round(grain * best.cameras)):
        watched = attempt((best.cameras + too_many) // 2)
        if holds(watched):
            best = watched
        else:
            too_many = watched.cameras
    return best
