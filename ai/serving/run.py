"""Start one legacy service and end it well: on SIGTERM requests in flight are answered first."""

from __future__ import annotations

import argparse
import logging
import sys

import uvicorn

from ai.core.errors import BadSetting
from ai.engines.detector import TorchDetector
from ai.engines.engine import Engine
from ai.engines.weights import WeightsNotFound
from ai.serving.app import create_app
from ai.serving.settings import read_settings
from ai.web.heads import BoundedHeads
from ai.web.spans_asked import spans_asked_for

KEEP_ALIVE_S = 20  # the backend's own connections expire before that


def serve(detector: TorchDetector) -> None:
    """Serve until a signal ends it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    argparse.ArgumentParser(
        description=f"The {detector.spec.title} detection service on port {detector.port}. It is told what to do by "
        f"variables that begin with {detector.prefix}, such as {detector.prefix}WEIGHTS: docs/configuration.md."
    ).parse_args()
    try:
        settings = read_settings(detector.prefix, detector.port)
        detector.find_weights(settings.weights)
    except (BadSetting, WeightsNotFound) as error:
        sys.exit(str(error))

    def load() -> Engine:
        return detector.load(settings.weights, settings.device)

    uvicorn.run(
        create_app(detector.spec, load, settings, spans_asked_for(f"crossfade-{detector.spec.name}")),
        host=settings.host,
        port=settings.port,
        http=BoundedHeads,
        ws="none",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
