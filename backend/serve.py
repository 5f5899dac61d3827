"""The backend in the foreground: `python -m backend.serve`, which `crossfade serve` and `crossfade up` run."""

from __future__ import annotations

import sys

import uvicorn

from ai.core.errors import BadSetting
from ai.web.heads import BoundedHeads
from backend.main import require_startable
from backend.settings import read_settings
from backend.standstill import PATIENCE_S
from backend.supervisor import watch_workers

KEEP_ALIVE_S = (
    20  # longer than what clients of ours and most proxies keep, so that no request meets a closing one
)


def main() -> None:
    try:
        settings = read_settings()
        require_startable(settings)
    except BadSetting as error:
        sys.exit(str(error))
    watch_workers()
    uvicorn.run(
        "backend.main:app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=BoundedHeads,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
        timeout_worker_healthcheck=round(PATIENCE_S),
    )


if __name__ == "__main__":
    main()
