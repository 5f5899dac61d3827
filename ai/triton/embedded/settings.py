"""What the embedded Triton can be told by variables such as `TRITON_HTTP_PORT`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ai.core.errors import BadSetting


class EmbeddedSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    crossfade_var: Path = Path("var")  # logs, process ids and whatever else is made while running
    triton_repository: Path = Path("var/models")
    triton_http_port: int = Field(8000, ge=0, le=65535)  # 0: a free one is picked
    triton_grpc_port: int = Field(8001, ge=0, le=65535)
    triton_metrics_port: int = Field(8002, ge=0, le=65535)
    triton_start_timeout_s: float = Field(300.0, gt=0)  # a GPU engine that is compiled first takes minutes
    triton_probe_interval_s: float = Field(2.0, gt=0)  # between two inferences that ask whether a model lives
    triton_probe_timeout_s: float = Field(5.0, gt=0)
    triton_hang_after_s: float = Field(
        30.0, gt=0
    )  # a model that finishes nothing for so long is not just slow
    triton_log_max_bytes: int = Field(10 * 1024 * 1024, ge=10_000)
    triton_log_files: int = Field(5, ge=1, le=100)

    @property
    def ports(self) -> dict[str, int]:
        return {
            "http": self.triton_http_port,
            "grpc": self.triton_grpc_port,
            "metrics": self.triton_metrics_port,
        }


def read_settings(**overrides: Any) -> EmbeddedSettings:
    """From the environment and `.env`; an override that is not None goes before them."""
    try:
        return EmbeddedSettings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise BadSetting.of(error.errors()[0]) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f".env cannot be read: it is not UTF-8 ({error})") from error


def inherited_environment() -> dict[str, str]:
    """The environment that Triton and its models are started in, whole."""
    return dict(os.environ)  # noqa: TID251 - settings read the environment
