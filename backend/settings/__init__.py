"""What the backend can be told from outside: one frozen tree, read from the environment and `.env`.

`docs/configuration.md` is made from it by `python -m docs.making`; the parts of the tree stand in one file each.
"""

from backend.settings.env_file import (
    ENV_FILE,
    WATCHED,
    share_of,
    switch_of,
    watched_of_env_file,
    watched_of_environment,
    whole_environment,
)
from backend.settings.reading import read_settings
from backend.settings.sides import DETECTORS
from backend.settings.tree import GROUPS, Settings

__all__ = [
    "DETECTORS",
    "ENV_FILE",
    "GROUPS",
    "WATCHED",
    "Settings",
    "read_settings",
    "share_of",
    "switch_of",
    "watched_of_env_file",
    "watched_of_environment",
    "whole_environment",
]
