"""One operation of a running API, asked in every way that schemathesis can think of, held to its documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.api_parts import ADMIN, Running


def examine(
    api: Running, method: str, path: str, checks: Sequence[Callable[..., object]], examples: int
) -> None:
    """As documented, and never a 500."""
    operation = schemathesis.openapi.from_url(f"http://127.0.0.1:{api.port}/openapi.json")[path][method]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def asked(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(headers=ADMIN, checks=list(checks))
        assert answer.status_code != 500

    asked()
