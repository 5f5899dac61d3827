"""What a report knows beside counts: what the sides are called, and what the parity certificate says.

name.legacy, name.triton        what the page calls the sides
kind                            "compare": one's own footage, no traffic; otherwise a rollout
verdict, tone                   of a comparison: a sentence; good, bad or open
source, frames, threshold, machine, took    of a comparison, for the reader
parity.passed                   yes or no; .difference (of mAP50-95), .pictures, .made_at, .problem
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ai.triton.comparing.certificate import FILE, BadCertificate, load
from backend.sides import LEGACY, TRITON

NAMES: Mapping[str, str] = MappingProxyType({LEGACY: "legacy", TRITON: "Triton"})


def parity_of(folder: Path, detector: str) -> dict[str, str]:
    """Of the detector's newest certificate below `folder` (var/parity); empty where there is none."""
    files = [path for path in (folder / detector).glob(f"*/{FILE}") if path.is_file()]
    if not files:
        return {}
    try:
        certificate = load(max(files, key=lambda path: path.stat().st_mtime))
    except BadCertificate as error:
        return {"parity.problem": str(error)}
    return {
        "parity.passed": "yes" if certificate.passed else "no",
        "parity.difference": f"{certificate.worst_map_difference:+.5f}",
        "parity.pictures": f"{certificate.data.pictures}",
        "parity.made_at": certificate.made_at,
        "parity.about": f"{certificate.subject.model} {certificate.subject.version}, {certificate.subject.engine}",
        "parity.problem": "; ".join(certificate.problems),
    }
