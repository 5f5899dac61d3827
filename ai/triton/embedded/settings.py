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

    crossfade_var: Path = Field(
        Path("var"),
        description="folder of `log/triton.log`, `run/triton.json` and the detectors that were added",
    )
    triton_repository: Path = Field(Path("var/models"), description="folder of the models that are served")
    triton_http_port: int = Field(8000, ge=0, le=65535, description="on 127.0.0.1; 0 picks a free one")
    triton_grpc_port: int = Field(8001, ge=0, le=65535, description="the same")
    triton_metrics_port: int = Field(8002, ge=0, le=65535, description="the same")
    triton_start_timeout_s: float = Field(
        300.0, gt=0, description="seconds for a start; a GPU engine captures its graphs meanwhile"
    )
    triton_probe_interval_s: float = Field(
        2.0, gt=0, description="seconds between two inferences that ask whether a model lives"
    )
    triton_probe_timeout_s: float = Field(5.0, gt=0, description="seconds of one of them")
    triton_hang_after_s: float = Field(
        30.0, gt=0, description="seconds in which a model finishes nothing, after which it is not just slow"
    )
    triton_log_max_bytes: int = Field(
        10 * 1024 * 1024, ge=10_000, description="bytes of its log, which is rotated …"
    )
    triton_log_files: int = Field(5, ge=1, le=100, description="… and how many of it are kept")

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
