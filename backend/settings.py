"""What the backend can be told from outside: one frozen tree, read from the environment and `.env`.

A bad value stops the start with one line: the variable, its value, what is allowed. What contradicts itself, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ai.core.errors import BadSetting
from ai.core.image import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, ImageLimits
from backend.sides import LEGACY, TRITON, Side

DETECTORS = ("rtdetr", "yolo26")
ENV_FILE = Path(".env")
_MIB = 1024 * 1024
_SECRETS = ("api_keys", "rollout_store")  # NAME_FILE names a file that holds one, as containers mount them

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Shares = Annotated[tuple[Share, ...], NoDecode]  # 0.1,0.25,1
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    # --- the two sides ------------------------------------------------------------------------------------
    triton_enabled: bool = False  # the kill switch, as it was at the start; `rollout.watch` follows it
    triton_traffic_fraction: Share = 0.0
    triton_shadow_fraction: Share = 0.0
    triton_url: str = "localhost:8001"
    triton_http_url: str = "localhost:8000"
    triton_protocol: Literal["grpc", "http"] = "grpc"
    triton_timeout: Seconds = 60.0
    triton_model: str = "rtdetr"  # the detector when the caller names none
    triton_max_retries: int = Field(3, ge=0, le=20)
    triton_confidence_threshold: Share = 0.5
    triton_class_thresholds: Annotated[dict[str, Share], NoDecode] = Field(
        default_factory=dict
    )  # person:0.4,car:0.6
    rtdetr_url: str = "http://localhost:8090"
    yolo26_url: str = "http://localhost:8095"
    legacy_enabled: bool = True
    legacy_timeout_s: Seconds = 60.0
    fallback: Literal["legacy", "both", "none"] = "legacy"

    # --- the rollout --------------------------------------------------------------------------------------
    rollout_key: Literal["request", "camera-quota"] = "request"
    rollout_store: str = Field(
        "", repr=False
    )  # sqlite:///PATH, redis://… or memory:; empty: a file in CROSSFADE_VAR
    rollout_store_file: Path | None = None  # … or the file that holds it, since it may hold a password
    rollout_poll_s: Seconds = 0.1  # how often a worker looks whether the store changed
    rollout_env_poll_s: Seconds = 0.25  # … and whether .env did
    rollout_heartbeat_s: Seconds = 1.0
    rollout_ack_s: Seconds = 1.0  # how long a rollback waits for every live worker
    quota_window_s: Seconds = 300.0  # of traffic, from which the cameras of camera-quota are chosen

    # --- comparing, and what the ramp decides by ----------------------------------------------------------
    shadow_queue: Count = 64  # pairs that wait for their other side …
    shadow_queue_bytes: int = Field(256 * _MIB, ge=1024)  # … and their pictures
    shadow_concurrency: int = Field(2, ge=1, le=64)  # calls of each side at once
    shadow_timeout_s: Seconds = 10.0  # of one such call
    shadow_samples: int = Field(200, ge=0, le=10_000)  # pairs that differ, kept as pictures; 0: none
    shadow_samples_bytes: int = Field(64 * _MIB, ge=1024)
    shadow_samples_age_s: float = Field(7 * 86_400.0, gt=0, le=366 * 86_400)
    evidence_camera_gap_s: float = Field(5.0, ge=0, le=3600)  # a camera proves something again after this
    evidence_latency_gap_s: float = Field(
        5.0, ge=0, le=3600
    )  # between two times of a side that count, of each worker
    evidence_flush_s: Seconds = 1.0  # how often a worker adds what it counted to the store
    ramp_steps: Shares = (0.1, 0.25, 0.5, 0.75, 1.0)
    ramp_disagreement: Shares = (
        0.01,
        0.005,
        0.003,
        0.003,
        0.003,
    )  # at most, at each step; the last one goes on
    ramp_errors: Share = 0.001  # at most, of the requests decided for Triton
    ramp_slow: Share = 0.07  # at most, slower than legacy's p95 was
    ramp_fresh: Share = 0.1  # at most, slower than 19 fresh ones of legacy; 0.05 where the sides are equal
    ramp_step_samples: Count = 100  # a step takes so many evidence samples at least …
    ramp_step_s: float = Field(600.0, ge=0, le=31 * 86_400)  # … and so long
    ramp_baseline_times: int = Field(400, ge=59, le=100_000)  # of legacy, from which its p95 is bounded
    ramp_dropped: Share = 0.05  # of the chosen comparisons; more holds the step
    ramp_promote_alpha: float = Field(0.05, gt=0, lt=1)  # chance of a false promotion, at each step
    ramp_rollback_alpha: float = Field(0.01, gt=0, lt=1)  # chance of a false rollback, in a whole ramp
    ramp_headroom: float = Field(1.0, ge=0, le=100)  # legacy's capacity over the demand; a step needs as much
    ramp_gates: Shares = ()  # steps that wait for `crossfade ramp approve`
    ramp_freeze: str = ""  # when nothing is promoted: "fri 16:00-mon 08:00, 22:00-06:00", local time
    ramp_look_s: Seconds = 1.0  # how often the leader looks
    ramp_lease_s: Seconds = 5.0  # a leader that was silent for so long is replaced

    # --- failing well -------------------------------------------------------------------------------------
    detect_deadline_s: Seconds = 5.0
    triton_deadline_share: Share = 0.4  # of the deadline, while a fallback exists
    retry_budget_share: Share = 0.2  # retries, of requests …
    retry_budget_per_s: float = Field(10.0, ge=0, le=10_000)  # … and as many besides
    breaker_failures: Count = 5  # in a row …
    breaker_share: Share = 0.5  # … or this share …
    breaker_least: Count = 20  # … of at least so many …
    breaker_window_s: Seconds = 10.0  # … within this
    breaker_open_s: Seconds = 5.0
    breaker_open_growth: float = Field(1.6, ge=1, le=10)
    breaker_open_max_s: Seconds = 60.0
    breaker_probes: Count = 3  # that must succeed before it closes
    probe_timeout_s: Seconds = 5.0
    probe_idle_s: Seconds = 10.0  # a side that nobody asked for so long is asked with a picture of ours
    abandoned_attempt_s: Seconds = 0.3  # the least time that an attempt gets, however impatient its caller
    triton_max_in_flight: Count = 256
    legacy_max_in_flight: Count = 64

    # --- the API ------------------------------------------------------------------------------------------
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    api_keys: str = ""  # name:role:key,…
    api_keys_file: Path | None = None  # … or the file that holds them
    max_image_bytes: int = Field(MAX_IMAGE_BYTES, ge=1024)
    max_image_pixels: int = Field(MAX_IMAGE_PIXELS, ge=10_000)
    max_batch_images: int = Field(32, ge=1, le=1000)
    max_batch_bytes: int = Field(64 * _MIB, ge=1024)
    max_receiving_bytes: int = Field(256 * _MIB, ge=1024)  # of all requests together
    upload_timeout_s: Seconds = 10.0
    shutdown_timeout_s: int = Field(30, ge=1, le=3600)
    deepstack_deadline_s: Seconds = 5.0
    log_sample: Share = 1.0  # of the answered requests; what failed or fell back is always logged
    log_format: Literal["json", "text"] = "json"

    # --- this machine -------------------------------------------------------------------------------------
    crossfade_var: Path = Path("var")  # logs, the store and whatever else is made while running
    log_max_bytes: int = Field(10 * _MIB, ge=10_000)  # of one log of a part that `crossfade up` started …
    log_files: int = Field(5, ge=1, le=100)  # … and how many of each, old ones too
    start_timeout_s: Seconds = 180.0

    @property
    def legacy_urls(self) -> Mapping[str, str]:
        return {"rtdetr": self.rtdetr_url, "yolo26": self.yolo26_url}

    @property
    def triton_models(self) -> Mapping[str, str]:
        """Encoded pictures in, detections out (design 4.3)."""
        return {detector: f"{detector}_jpeg" for detector in DETECTORS}

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.max_image_bytes, self.max_image_pixels)

    @property
    def store_url(self) -> str:
        return self.rollout_store or f"sqlite:///{self.crossfade_var / 'crossfade.db'}"

    def fallbacks_of(self, side: Side) -> tuple[Side, ...]:
        """Who may be asked after `side`, Triton only where it is on at all."""
        if self.fallback == "none":
            return ()
        if side == TRITON:
            return (LEGACY,) if self.legacy_enabled else ()
        return (TRITON,) if self.fallback == "both" else ()

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        read = {name: _secret(name, values) for name in _SECRETS if values.get(f"{name}_file") is not None}
        return {**values, **read}

    @field_validator("rtdetr_url", "yolo26_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:  # .port may raise
            raise ValueError("must be an address such as http://localhost:8090")
        return value.rstrip("/")

    @field_validator("triton_url", "triton_http_url")
    @classmethod
    def _is_a_target(cls, value: str) -> str:
        bare = value.removeprefix("dns:///").removeprefix("http://")
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):\d{1,5}(,[^\s/,]+:\d{1,5})*", bare):
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

    @field_validator("ramp_steps", "ramp_disagreement", "ramp_gates", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("ramp_steps")
    @classmethod
    def _rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or value[0] <= 0 or any(a >= b for a, b in pairwise(value)):
            raise ValueError("must be rising shares over 0, such as 0.1,0.25,0.5,0.75,1")
        return value

    @field_validator("ramp_disagreement")
    @classmethod
    def _bounds(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < bound < 1 for bound in value):
            raise ValueError("must be shares between 0 and 1, such as 0.01,0.005,0.003")
        return value

    @field_validator("rollout_store")
    @classmethod
    def _in_small_letters(cls, value: str) -> str:
        """What kind of store it is: Redis:// is redis://."""
        kind, colon, rest = value.strip().partition(":")
        return kind.lower() + colon + rest

    @model_validator(mode="after")
    def _has_a_store(self) -> Settings:
        """Not the field's own validator: the line that pydantic makes of that shows the value, password and all."""
        url = self.rollout_store
        if not (url in ("", "memory:") or re.fullmatch(r"sqlite:///.+", url) or _is_redis(url)):
            said = f"ROLLOUT_STORE={_without_secrets(url)!r}"
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


def read_settings(**overrides: Any) -> Settings:
    """From the environment and `.env`; an override that is not None goes before them."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        raise (BadSetting.of(problem) if problem["loc"] else BadSetting(_words(problem["msg"]))) from error
    except UnicodeDecodeError as error:
        raise BadSetting(f".env cannot be read: it is not UTF-8 ({error})") from error
    except OSError as error:  # what stands there may be the keys: without it the API could be open
        raise BadSetting(f".env cannot be read: {error.strerror}") from error


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def _secret(name: str, values: Mapping[str, Any]) -> str:
    """What NAME_FILE holds. A file that is not there must never read as "none configured"."""
    variable, path = f"{name}_file".upper(), Path(values[f"{name}_file"])
    if not str(values[f"{name}_file"]).strip():
        raise ValueError(f"{variable} is empty: it must name a file, or not be set")
    if values.get(name):
        raise ValueError(f"{name.upper()} and {variable} are both set; one of them is enough")
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(f"{variable}='{path}': cannot be read: {reason}") from None
    if not secret:
        raise ValueError(f"{variable}='{path}': the file is empty")
    return secret


def _without_secrets(url: str) -> str:
    """A file's path as it is; of anything that may hold a password its kind alone."""
    kind, colon, _ = url.partition(":")
    if kind in ("sqlite", "memory") or not (colon or "@" in url):
        return url
    return f"{kind}:…" if colon and "@" not in kind else "…"


def _is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("redis", "rediss")
        and bool(parts.hostname)
        and port != 0
        and bool(re.fullmatch(r"(/\d{0,5})?", parts.path))
        and bool(re.fullmatch(r"(prefix=[\w.:-]{1,100})?", parts.query))
        and not parts.fragment
    )


def whole_environment() -> dict[str, str]:
    """The environment that processes of ours are started in."""
    return dict(os.environ)  # noqa: TID251 - settings read the environment


# What the watched .env may change while running; its two sources are read apart, since one may hide the other.
WATCHED = ("TRITON_ENABLED", "TRITON_TRAFFIC_FRACTION", "TRITON_SHADOW_FRACTION")
_SWITCH = TypeAdapter(bool)
_SHARE: TypeAdapter[float] = TypeAdapter(Share)


def watched_of_environment() -> dict[str, str]:
    return _watched(os.environ)  # noqa: TID251 - settings read the environment


def watched_of_env_file(text: str) -> dict[str, str]:
    return _watched(dotenv_values(stream=StringIO(text)))


def switch_of(word: str) -> bool:
    """ValueError where it is neither true nor false; the same words as at the start."""
    return _SWITCH.validate_python(word.strip())


def share_of(word: str) -> float:
    """ValueError where it is no number from 0 to 1."""
    return _SHARE.validate_python(word.strip())


def _watched(words: Mapping[str, str | None]) -> dict[str, str]:
    return {
        name.upper(): word for name, word in words.items() if name.upper() in WATCHED and word is not None
    }
