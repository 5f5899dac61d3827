"""What happened, as frozen events, and who is told of it."""
