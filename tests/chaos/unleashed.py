"""Triton's supervisor, and in the place of its leash a program that does not die with its parent.

Run by the stack of `tests.chaos.small_stack` where that defence is taken away, and then by the supervisor itself.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    if len(sys.argv) > 1:  # PARENT_ID PROGRAM ARGUMENT…, as the leash is called
        os.execv(sys.argv[2], sys.argv[2:])
    from ai.triton import server  # noqa: PLC0415 - the leash is run without any package
    from ai.triton.embedded import process  # noqa: PLC0415

    process._LEASH = Path(__file__)
    sys.exit(server.main())


if __name__ == "__main__":
    main()
