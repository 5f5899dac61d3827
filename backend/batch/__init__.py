"""A folder of pictures through the backend: begun, killed, gone on with, and each picture told of exactly once."""
