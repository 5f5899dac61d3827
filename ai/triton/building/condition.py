"""Whether our detectors' weights can be read, and whether what Triton serves was built from them.

`python -m ai.triton.building.condition` writes it as JSON, for those who import no torch (`crossfade doctor`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.engines.weights import WeightsNotFound
from ai.triton.building import catalogue
from ai.triton.building.source import Source
from ai.triton.embedded.settings import read_settings
from ai.triton.stored import versions
from ai.triton.stored.served import Served


@dataclass(frozen=True, slots=True)
class Condition:
    detector: str
    problem: str | None = None  # of the weights
    version: int | None = None  # that Triton serves; None: nothing is built
    current: bool = False  # built from these weights


def condition(repository: Path, name: str, open_source: Callable[[], Source]) -> Condition:
    try:
        source = open_source()
        model = repository / f"{name}_jpeg"
        known = versions.numbers(model)
        if not known:
            return Condition(name)
        served = Served.load(model / str(known[-1]))
        return Condition(name, None, known[-1], served.source == source.fingerprint)
    except (CrossfadeError, WeightsNotFound, OSError) as error:
        return Condition(name, str(error))


def main() -> None:
    settings = read_settings()
    sources = catalogue.all_sources(settings.crossfade_var)
    found = [condition(settings.triton_repository, name, sources[name]) for name in catalogue.BUILT_IN]
    json.dump([asdict(one) for one in found], sys.stdout)


if __name__ == "__main__":
    main()
