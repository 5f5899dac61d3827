"""Where the two sides are, how much each gets, and whether they help one another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from backend.settings.kinds import Seconds, Share
from backend.sides import LEGACY, TRITON, Side

DETECTORS = ("rtdetr", "yolo26")


class SidesSettings(BaseSettings):
    """Where the two sides are, how much each of them gets, and whether they help one another."""

    triton_enabled: bool = Field(
        False,
        description="the kill switch: `false`, here **or** in the watched `.env`, is absolute while it stands. "
        "Triton is not called, probed, compared with or fallen back to",
    )  # as it was at the start; `rollout.environment` follows it
    triton_traffic_fraction: Share = Field(
        0.0,
        description="share of the requests that Triton serves. A value that this machine did not see last "
        "becomes a change of the flags; it may be changed in `.env` while running",
    )
    triton_shadow_fraction: Share = Field(
        0.0,
        description="share of the requests compared with the other side; it too may be changed while running",
    )
    triton_url: str = Field(
        "localhost:8001",
        description="Triton over gRPC: `host:port`. `dns:///host:port`, or a comma-separated list, for several",
    )
    triton_http_url: str = Field("localhost:8000", description="Triton over HTTP, written the same way")
    triton_protocol: Literal["grpc", "http"] = Field("grpc", description="which of the two addresses is used")
    triton_timeout: Seconds = Field(
        60.0, description="seconds; bound of one call to Triton, always cut to what the deadline leaves"
    )
    triton_model: str = Field(
        "rtdetr", description="the detector of a request that names none: `rtdetr`, `yolo26`"
    )
    triton_max_retries: int = Field(
        3, ge=0, le=20, description="retries on one side for one request; within the budget and the deadline"
    )
    triton_confidence_threshold: Share = Field(
        0.5,
        description="what scores less is left out of answers, of either side; `min_confidence` in a request "
        "goes before it. 0 is a value",
    )
    triton_class_thresholds: Annotated[dict[str, Share], NoDecode] = Field(
        default_factory=dict, description="the same for single classes: `person:0.4,car:0.6`"
    )
    rtdetr_url: str = Field("http://localhost:8090", description="the legacy service of RT-DETR")
    yolo26_url: str = Field("http://localhost:8095", description="the legacy service of YOLO26")
    legacy_enabled: bool = Field(
        True,
        description="`false` is the end of the migration: no fallback, and the stored fraction must be 1, "
        "or the start is refused",
    )
    legacy_timeout_s: Seconds = Field(60.0, description="seconds; bound of one call to a legacy service")
    fallback: Literal["legacy", "both", "none"] = Field(
        "legacy",
        description="who helps when a side fails: legacy helps Triton, each helps the other, or nobody does",
    )

    @property
    def legacy_urls(self) -> Mapping[str, str]:
        return {"rtdetr": self.rtdetr_url, "yolo26": self.yolo26_url}

    @property
    def triton_models(self) -> Mapping[str, str]:
        """Encoded pictures in, detections out (design 4.3)."""
        return {detector: f"{detector}_jpeg" for detector in DETECTORS}

    def fallbacks_of(self, side: Side) -> tuple[Side, ...]:
        """Who may be asked after `side`, Triton only where it is on at all."""
        if self.fallback == "none":
            return ()
        if side == TRITON:
            return (LEGACY,) if self.legacy_enabled else ()
        return (TRITON,) if self.fallback == "both" else ()

    @field_validator("rtdetr_url", "yolo26_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:  # .port may raise
            raise ValueError("must be an address such as http://localhost:8090")
        if "@" in value:  # no key is sent to a service, and an address stands in errors and tables
            raise ValueError("must be an address without user and password, such as http://localhost:8090")
        return value.rstrip("/")

    @field_validator("triton_url", "triton_http_url")
    @classmethod
    def _is_a_target(cls, value: str) -> str:
        bare = value.removeprefix("dns:///").removeprefix("http://")
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s/:@\[\]]+):\d{1,5}(,[^\s/,@]+:\d{1,5})*", bare):
            raise ValueError("must be host:port, or dns:///host:port for all addresses of a name")
        return value

    @field_validator("triton_model")
    @classmethod
    def _is_a_detector(cls, value: str) -> str:
        if value not in DETECTORS:
            raise ValueError(f"must be {' or '.join(DETECTORS)}")
        return value

    @field_validator("triton_class_thresholds", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [pair.rpartition(":") for pair in value.split(",") if pair.strip()]
        if any(not label.strip() for label, _, _ in pairs):
            raise ValueError("must be class:threshold,… such as person:0.4,car:0.6")
        return {label.strip(): threshold for label, _, threshold in pairs}
