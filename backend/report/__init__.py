"""What a ramp or a comparison has shown, for people."""
