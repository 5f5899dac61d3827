"""Measured, on a named machine, or not said. See README.md beside this file."""
