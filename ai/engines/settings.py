"""The one setting that services and exporters share."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ai.engines.weights import DEMO


class WeightsSettings(BaseSettings):
    """`YOLO26_WEIGHTS`, `RTDETR_WEIGHTS`: the prefix says whose."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    weights: str = Field(
        DEMO, description="`demo`, a path, or a name that ultralytics knows: `yolo26m.pt`, `rtdetr-l.pt`"
    )
