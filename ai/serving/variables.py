"""`python -m ai.serving.variables`: what a legacy service can be told, as JSON; for those who import no torch."""

from __future__ import annotations

import json
import sys

from ai.serving.settings import ServiceSettings


def main() -> None:
    json.dump(sorted(ServiceSettings.model_fields), sys.stdout)


if __name__ == "__main__":
    main()
