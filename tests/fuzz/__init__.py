"""Fuzzing on demand: pictures, a side's answers and the API, spoiled in seeded ways, each held to a promise.

    python -m tests.fuzz [pictures|triton|legacy|api] [--cases N] [--seed S] [--seconds S] [--json FILE]

A case is made from the seed, its target's name and its number, so that it can be made again. See docs/fuzzing.md.
"""
