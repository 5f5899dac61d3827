"""One file a dashboard: what it asks, in words."""
