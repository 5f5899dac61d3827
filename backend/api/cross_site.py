"""No other site changes the rollout through somebody's browser.

It could not anyway: a change needs a header that no form sends, and that no script of another origin may send, for no
route answers its browser's question whether it may. This is the second lock, in words.
"""

from __future__ import annotations

from fastapi import Request

from ai.web.problems import Problem

CHANGING = frozenset({"PUT", "POST", "PATCH", "DELETE"})
CHANGED = "/api/rollout"


def can_change(method: str, path: str) -> bool:
    return method in CHANGING and path.startswith(CHANGED)


async def refuse_cross_site(request: Request) -> None:
    """By what the browser itself says, which no script can say otherwise; what is no browser says nothing."""
    if request.headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
        raise Problem(403, "another site's page asks for this, and the rollout is changed by none")
