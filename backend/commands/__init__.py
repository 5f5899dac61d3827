"""The words of `crossfade`, one file a group: what they are called, what they do, what they print."""
