"""`crossfade doctor`."""

from backend.doctor.command import ABOUT, EXAMPLES, add_to, findings, parser
from backend.doctor.finding import Finding, Patient
from backend.doctor.store import store

__all__ = ["ABOUT", "EXAMPLES", "Finding", "Patient", "add_to", "findings", "parser", "store"]
