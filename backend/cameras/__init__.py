"""Cameras that are played against the backend: `crossfade cameras`, and `player.play` for programs.

A frame that falls due while its camera's last one is still with the backend is dropped and counted, never queued.
"""
