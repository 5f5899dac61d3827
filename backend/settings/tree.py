"""The whole tree of what the backend can be told, and what in it would contradict itself."""

from __future__ import annotations

import re
from typing import Any

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.settings.api import ApiSettings
from backend.settings.comparing import ComparingSettings
from backend.settings.env_file import ENV_FILE
from backend.settings.failing import FailingSettings
from backend.settings.flags import FlagSettings
from backend.settings.machine import MachineSettings
from backend.settings.ramp import RampSettings
from backend.settings.secret_files import SECRETS, secret_of
from backend.settings.sides import SidesSettings
from backend.settings.store_address import is_redis, without_secrets

# As they are read in the documentation, and as a start complains of them: the first bad one stops it.
GROUPS: tuple[type[BaseSettings], ...] = (
    SidesSettings,
    FlagSettings,
    ComparingSettings,
    RampSettings,
    FailingSettings,
    ApiSettings,
    MachineSettings,
)


# pydantic takes the fields of the last base first.
class Settings(
    MachineSettings,
    ApiSettings,
    FailingSettings,
    RampSettings,
    ComparingSettings,
    FlagSettings,
    SidesSettings,
):
    # A traceback shows the errors of pydantic, which show all that they were about, the keys too.
    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @property
    def store_url(self) -> str:
        return self.rollout_store or f"sqlite:///{self.crossfade_var / 'crossfade.db'}"

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        read = {name: secret_of(name, values) for name in SECRETS if values.get(f"{name}_file") is not None}
        return {**values, **read}

    @model_validator(mode="after")
    def _has_a_store(self) -> Settings:
        """Not the field's own validator: the line that pydantic makes of that shows the value, password and all."""
        url = self.rollout_store
        if not (url in ("", "memory:") or re.fullmatch(r"sqlite:///.+", url) or is_redis(url)):
            said = f"ROLLOUT_STORE={without_secrets(url)!r}"
            if self.rollout_store_file is not None:
                said = f"ROLLOUT_STORE_FILE='{self.rollout_store_file}': what it holds"
            raise ValueError(
                f"{said}: must be sqlite:///PATH, "
                "redis[s]://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=NAME] or memory:"
            )
        return self

    @model_validator(mode="after")
    def _does_not_contradict_itself(self) -> Settings:
        if self.rollout_store == "memory:" and self.workers > 1:
            raise ValueError(
                f"ROLLOUT_STORE=memory: is one worker's own, and WORKERS={self.workers}: they need sqlite:///PATH"
            )
        if self.legacy_enabled:
            return self
        if self.fallback == "legacy" and "fallback" in self.model_fields_set:
            raise ValueError(
                "FALLBACK=legacy needs the legacy services, and LEGACY_ENABLED=false turns them off"
            )
        if "triton_traffic_fraction" in self.model_fields_set and self.triton_traffic_fraction < 1:
            raise ValueError(
                f"LEGACY_ENABLED=false leaves {1 - self.triton_traffic_fraction:.0%} of the requests to nobody: "
                f"TRITON_TRAFFIC_FRACTION={self.triton_traffic_fraction:g} must be 1 then"
            )
        return self
