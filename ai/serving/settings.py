"""What one legacy service can be told by variables such as `YOLO26_WEIGHTS` or `RTDETR_PORT`."""

from __future__ import annotations

from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from ai.core.errors import BadSetting
from ai.core.image import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, ImageLimits
from ai.engines.settings import WeightsSettings
from ai.web.intake import IntakeLimits

PORT = "… and the port"


class ServiceSettings(WeightsSettings):
    host: str = Field("127.0.0.1", description="the address that it listens on")
    port: int = Field(ge=1, le=65535, description=PORT)
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`auto`, `cpu`, `cuda` or `cuda:1`; FP16 on a GPU, FP32 on a CPU",
    )
    max_in_flight: int = Field(
        64,
        ge=1,
        le=10_000,
        description="requests whose body has arrived and that are decoded or wait for the model; more are "
        "answered 503",
    )
    decode_threads: int = Field(
        2, ge=1, le=64, description="threads that decode; the model itself always runs on one"
    )
    decode: str = Field(
        "full",
        pattern="^(full|scaled)$",
        description="`full`, or `scaled`: a JPEG at 1/2, 1/4 or 1/8 where the network's input needs no more",
    )
    max_image_bytes: int = Field(MAX_IMAGE_BYTES, ge=1024 * 1024, description="bytes of one picture")
    max_image_pixels: int = Field(
        MAX_IMAGE_PIXELS, ge=1_000_000, description="pixels of one picture, read from its header"
    )
    max_batch_images: int = Field(32, ge=1, le=1000, description="pictures of one `/detect/batch` …")
    max_batch_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="… and their bytes")
    max_receiving_bytes: int = Field(
        128 * 1024 * 1024,
        ge=1024,
        description="bytes of all bodies together, while they arrive and are worked on; more is answered 503",
    )
    upload_timeout_s: float = Field(10.0, gt=0, description="seconds for a body to arrive")
    shutdown_timeout_s: int = Field(30, ge=1, description="seconds for requests in flight at SIGTERM")

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.max_image_bytes, self.max_image_pixels)

    @property
    def intake_limits(self) -> IntakeLimits:
        return IntakeLimits(
            self.max_image_bytes, self.max_batch_images, self.max_batch_bytes, self.upload_timeout_s
        )


def read_settings(prefix: str, default_port: int) -> ServiceSettings:
    """The settings of the service whose variables begin with `prefix`, from the environment and `.env`."""

    class Prefixed(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix=prefix)
        port: int = Field(default_port, ge=1, le=65535, description=PORT)

    try:
        return Prefixed()
    except ValidationError as error:
        raise BadSetting.of(error.errors()[0], prefix) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f".env cannot be read: it is not UTF-8 ({error})") from error
