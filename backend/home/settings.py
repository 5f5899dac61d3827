"""What the publisher can be told by `MQTT_…` variables, in the environment and `.env`, as the backend's are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ai.core.errors import BadSetting
from backend.home.broker import Broker
from backend.settings.secret_files import held_by

_TOPIC = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


class HomeSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    mqtt_broker: str = Field(
        "", repr=False, description="`mqtt://[USER:PASSWORD@]HOST[:PORT]`; `mqtts://` for TLS"
    )
    mqtt_password: str = Field("", repr=False, description="where it does not stand in the address …")
    mqtt_password_file: Path | None = Field(None, description="… or the file that holds it")
    mqtt_ca_file: Path | None = Field(
        None, description="of the authority that signed the broker's certificate, in PEM"
    )
    mqtt_prefix: str = Field(
        "homeassistant", description="where Home Assistant looks for what introduces itself"
    )
    mqtt_topic: str = Field(
        "crossfade", description="what is published stands under it; one publisher for each"
    )
    mqtt_every_s: float = Field(10.0, ge=1, le=300, description="seconds between two looks at the backend")
    mqtt_detectors: str = Field(
        "", description="those that somebody uses, with commas; empty: all of the backend"
    )
    crossfade_key_file: Path | None = Field(
        None, description="a file that holds the key for the backend; a viewer's is enough"
    )

    @property
    def broker(self) -> Broker:
        return Broker.at(self.mqtt_broker, self._password(), self.mqtt_ca_file)

    @property
    def detectors(self) -> frozenset[str]:
        return frozenset(filter(None, map(str.strip, self.mqtt_detectors.split(","))))

    @property
    def key(self) -> str | None:
        if self.crossfade_key_file is None:
            return None
        return held_by("CROSSFADE_KEY_FILE", self.crossfade_key_file)

    @field_validator("mqtt_prefix", "mqtt_topic")
    @classmethod
    def _is_a_topic(cls, value: str) -> str:
        if not _TOPIC.fullmatch(value):
            raise ValueError("must be letters, digits, - and _, in levels parted by /")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> HomeSettings:
        """Not the fields' own validators: the line that pydantic makes of those shows the value, password and all."""
        _ = self.key, self.broker if self.mqtt_broker else None
        return self

    def _password(self) -> str:
        if self.mqtt_password_file is None:
            return self.mqtt_password
        if self.mqtt_password:
            raise ValueError("MQTT_PASSWORD and MQTT_PASSWORD_FILE are both set; one of them is enough")
        return held_by("MQTT_PASSWORD_FILE", self.mqtt_password_file)


def read_settings(**overrides: Any) -> HomeSettings:
    """From the environment and `.env`; an override that is not None goes before them."""
    try:
        return HomeSettings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["loc"]:
            raise BadSetting.of(problem) from None
        raise BadSetting(problem["msg"].removeprefix("Value error, ")) from None
    except UnicodeDecodeError as error:
        raise BadSetting(f".env cannot be read: it is not UTF-8 ({error})") from error
    except OSError as error:
        raise BadSetting(f".env cannot be read: {error.strerror}") from error
