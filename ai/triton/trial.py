"""INT8 and JPEGs decoded smaller are approximations: kept only with their parity figure, and only if that is small.

The detector is built aside and served there for the comparison; the repository sees it when it has passed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ai.terminal.progress import Bars, progress
from ai.triton import repository
from ai.triton.building.source import Source
from ai.triton.comparing import certificate
from ai.triton.comparing.certificate import FILE, MIN_OBJECTS, Certificate
from ai.triton.embedded.settings import EmbeddedSettings
from ai.triton.parity import ParityOptions, run_parity
from ai.triton.repository import Built, CannotBuild, Options

Tell = Callable[[str], None]


def figure_of(
    settings: EmbeddedSettings,
    name: str,
    source: Source,
    options: Options,
    max_loss: float,
    tell: Tell,
    bars: Bars = progress,
) -> Certificate:
    """What parity says of this build; CannotBuild if mAP differs by more than `max_loss`."""
    how = options.precision + (" with scaled decoding" if options.decode == "scaled" else "")
    settings.crossfade_var.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trial-", dir=settings.crossfade_var) as folder:
        alone = settings.model_copy(
            update={"triton_repository": Path(folder) / "models", "crossfade_var": Path(folder)}
        )
        repository.build(alone.triton_repository, {name: source}, options, tell, bars)
        run_parity(alone, {name: source}, ParityOptions(output=Path(folder) / "parity"), tell, bars)
        found = next((Path(folder) / "parity" / name).glob(f"*/{FILE}"), None)
        if found is None:
            raise CannotBuild(f"{name} in {how} could not be compared: see above")
        figure = certificate.load(found)
    if not figure.levels or figure.data.objects < MIN_OBJECTS or any(one.unanswered for one in figure.levels):
        raise CannotBuild(f"{name} in {how} is not kept, parity says too little: {figure.problems}")
    lost = abs(figure.worst_map_difference)
    if not lost <= max_loss:  # nor if it is no number
        raise CannotBuild(
            f"{name} in {how} is not kept: mAP differs by {lost:.4f}, and --max-loss is {max_loss:g}"
        )
    return figure


def keep_figure(folder: Path, built: Built, figure: Certificate) -> None:
    """Beside the version that it speaks of."""
    (folder / built.model / str(built.version) / FILE).write_text(figure.to_json(), encoding="utf-8")
