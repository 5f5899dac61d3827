"""The same comparison as behind a ramp, on one's own pictures and apart from all traffic: `crossfade compare`."""
