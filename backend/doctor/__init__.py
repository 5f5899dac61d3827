"""`crossfade doctor`."""

from backend.doctor.command import ABOUT, EXAMPLES, add_to, main, parser, run
from backend.doctor.finding import Finding, Patient
from backend.doctor.parts import store

__all__ = ["ABOUT", "EXAMPLES", "Finding", "Patient", "add_to", "main", "parser", "run", "store"]
