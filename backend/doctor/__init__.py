"""`crossfade doctor`."""

from backend.doctor.command import main, parser
from backend.doctor.finding import Finding, Patient
from backend.doctor.parts import store

__all__ = ["Finding", "Patient", "main", "parser", "store"]
