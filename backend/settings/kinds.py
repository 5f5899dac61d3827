"""The kinds of value that settings have, each with what is allowed of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

MIB = 1024 * 1024

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Shares = Annotated[tuple[Share, ...], NoDecode]  # 0.1,0.25,1
Count = Annotated[int, Field(ge=1, le=1_000_000)]
