"""Where the MQTT broker is, and as whom it is spoken to; what is wrong with an address never repeats its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}
SHAPE = "mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: Path | None = None  # whose certificates are trusted; None: those that the system trusts

    @classmethod
    def at(cls, url: str, password: str = "", ca_file: Path | None = None) -> Broker:
        """ValueError with a sentence that holds no secret."""
        parts = _parts(url)
        port = _port(parts)
        user = unquote(parts.username) if parts.username else None
        secret = password or (unquote(parts.password) if parts.password else None)
        if secret is not None and user is None:
            raise ValueError("there is a password and no user; the address takes one: mqtt://USER@HOST")
        tls = parts.scheme == "mqtts"
        if ca_file is not None and not tls:
            raise ValueError("MQTT_CA_FILE is for an address that begins with mqtts://")
        if ca_file is not None and not ca_file.is_file():
            raise ValueError(f"MQTT_CA_FILE='{ca_file}': there is no such file")
        return cls(str(parts.hostname), port, user, secret, tls, ca_file)

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def has_password(url: str) -> bool:
    """Whatever else may be wrong with it."""
    return ":" in url.partition("://")[2].rpartition("@")[0]


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        parts = urlsplit("")
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError(
            f"the broker's address must be {SHAPE}; / # and ? of a password are written %2F %23 %3F there, "
            "or it stands in a file that MQTT_PASSWORD_FILE names"
        )
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"the broker's address must be {SHAPE}")
    return parts


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"the broker's port must be a number from 1 to 65535: {SHAPE}")
    return port or _PORTS[parts.scheme]
