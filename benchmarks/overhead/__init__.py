"""What Crossfade itself costs: the client, the flags, the observers, the stores and the shadow."""
