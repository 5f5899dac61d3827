"""The one entry to the suites: what there is, what it needs, and running it."""
