"""What the backend can be told from outside: one frozen tree, read from the environment and `.env`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ai.core.errors import BadSetting


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    rtdetr_url: str = "http://localhost:8090"
    yolo26_url: str = "http://localhost:8095"
    crossfade_var: Path = Path("var")  # logs, process ids and whatever else is made while running
    start_timeout_s: float = Field(120.0, gt=0)

    @field_validator("rtdetr_url", "yolo26_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:  # .port may raise
            raise ValueError("must be an address such as http://localhost:8090")
        return value.rstrip("/")


def read_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise BadSetting.of(error.errors()[0]) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f".env cannot be read: it is not UTF-8 ({error})") from error
