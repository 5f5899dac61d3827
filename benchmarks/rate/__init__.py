"""Open loop: the highest rate that each side answers in time, and how its latency grows until there."""
