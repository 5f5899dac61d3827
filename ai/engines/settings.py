"""The one setting that services and exporters share."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from ai.engines.weights import DEMO


class WeightsSettings(BaseSettings):
    """`YOLO26_WEIGHTS`, `RTDETR_WEIGHTS`: the prefix says whose."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    weights: str = DEMO
