"""What a redis:// URL says: whom to ask, as whom, and under which names."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "crossfade"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    host: str
    port: int = 6379
    db: int = 0
    prefix: str = PREFIX  # before every key: several Crossfades may share one Redis
    encrypted: bool = False
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> RedisAddress:
        """redis://[user:password@]host[:port][/db][?prefix=NAME], or rediss:// for TLS; the settings checked it."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or 6379,
            db=int(parts.path.strip("/") or 0),
            prefix=parse_qs(parts.query).get("prefix", [PREFIX])[0],
            encrypted=parts.scheme == "rediss",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    @property
    def name(self) -> str:
        """Without user and password: it stands in logs, errors and journals."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        prefix = "" if self.prefix == PREFIX else f"?prefix={self.prefix}"
        return f"redis{'s' * self.encrypted}://{host}:{self.port}/{self.db}{prefix}"

    def without_secrets(self, words: str) -> str:
        """Whatever a library writes into its errors."""
        for secret in (self.password, self.user):
            if secret:
                words = words.replace(secret, "…")
        return words
