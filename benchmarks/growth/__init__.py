"""How costs grow: with callers, pictures, objects, cameras, workers and rows, each as a series with its slope."""
