"""python -m docs.making            writes the pages that are made
python -m docs.making --check    writes nothing, names the page that is stale, and ends with 1 where one is
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from docs.making.pages import made, stale, written


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m docs.making",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; is each page as it would be made?"
    )
    pages = made()
    if parser.parse_args(arguments).check:
        complaints = [
            f"{page} is stale: `make docs` makes it again from {pages[page].source}" for page in stale(pages)
        ]
        print("\n".join(complaints or ["the pages are as the code would make them"]))
        return 1 if complaints else 0
    print("\n".join(f"{page} was written" for page in written(pages)) or "nothing was to be written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
