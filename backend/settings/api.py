"""Where the backend listens, who may ask it, and how much it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from ai.core.image import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, ImageLimits
from backend.settings.kinds import MIB, Seconds, Share


class ApiSettings(BaseSettings):
    """Where the backend listens, who may ask it, how much it takes at once, and what it writes down."""

    host: str = Field("127.0.0.1", description="the address that it listens on")
    port: int = Field(8080, ge=1, le=65535, description="… and the port")
    workers: int = Field(1, ge=1, le=64, description="processes that serve")
    api_keys: str = Field(
        "",
        repr=False,
        description="`name:role:key,…`, roles `caller`, `viewer`, `admin`. Empty: an admin key is made at the first "
        "start, in `CROSSFADE_VAR/admin-key`",
    )
    api_keys_file: Path | None = Field(
        None,
        description="… or the file that holds them, as containers mount secrets. Not there, or empty: no start",
    )
    max_image_bytes: int = Field(MAX_IMAGE_BYTES, ge=1024, description="bytes of one picture")
    max_image_pixels: int = Field(
        MAX_IMAGE_PIXELS, ge=10_000, description="pixels of one picture, read from its header"
    )
    max_batch_images: int = Field(32, ge=1, le=1000, description="pictures of one batch …")
    max_batch_bytes: int = Field(64 * MIB, ge=1024, description="… and their bytes")
    max_receiving_bytes: int = Field(
        256 * MIB, ge=1024, description="bytes of all bodies together, in each worker; more is answered 503"
    )
    upload_timeout_s: Seconds = Field(10.0, description="seconds for a body to arrive")
    shutdown_timeout_s: int = Field(
        30, ge=1, le=3600, description="seconds for requests in flight at SIGTERM"
    )
    deepstack_deadline_s: Seconds = Field(5.0, description="seconds of `/v1/vision/detection`")
    log_sample: Share = Field(
        1.0, description="share of plain successes that get a line; what failed or fell back always gets one"
    )
    log_format: Literal["json", "text"] = Field("json", description="of the log")

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.max_image_bytes, self.max_image_pixels)
