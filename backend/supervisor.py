"""A worker that dies is replaced at once, also if it dies while its supervisor waits for a sign of life from it.

uvicorn asks each worker through a pipe, and keeps the worker's end of it open too: of one that was killed before it
answered nobody hears that it is gone, and the supervisor waits for all of its patience, for every other worker as well.
"""

from __future__ import annotations

from uvicorn.supervisors import multiprocess


class WatchedWorker(multiprocess.Process):
    def start(self) -> None:
        super().start()
        self.child_conn.close()  # the worker has its own: when that is gone, the pipe has ended


def watch_workers() -> None:
    """Before uvicorn starts any."""
    multiprocess.Process = WatchedWorker  # type: ignore[misc]
