"""The ramp: what the evidence says, and what is done about it."""
