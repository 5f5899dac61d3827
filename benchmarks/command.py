"""How a suite's command ends: its figures are written and shown, or one line says why there are none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.processes import NotStartedError, end_well_on_signals
from benchmarks.suite import LoadFailedError

Report = TypeVar("Report")


def concluded(
    measure: Callable[[], Report],
    save: Callable[[Report, Path], list[Path]],
    as_text: Callable[[Report], str],
    folder: Path,
) -> Report:
    """Whatever was started has ended when this returns, and when it does not."""
    end_well_on_signals()
    try:
        report = measure()
    except (NotStartedError, LoadFailedError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; what was started has ended, nothing was written")
    written = save(report, folder)
    print(as_text(report))
    print("Written: " + ", ".join(str(path) for path in written))
    return report


def require_answered(errors: int) -> None:
    if errors:
        sys.exit(f"{errors} requests were not answered: these figures compare nothing")
