"""Callers of a proxy who mean no good: many from one address, who say little, slowly, or listen to nothing."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import Counter
from urllib.parse import urlsplit

HANDSHAKE_S = 10.0
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Gang:
    """Each says `opening`, then `drip` whenever it is told to, and reads nothing before `statuses`."""

    def __init__(self, url: str, tls: ssl.SSLContext, source: str, opening: bytes, drip: bytes = b"") -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self._tls, self._source = tls, source
        self._opening, self._drip = opening, drip
        self._members: list[ssl.SSLSocket] = []

    def come(self, members: int, hears_bytes: int | None = None) -> None:
        """Over loopback it takes the same kernel room as from afar; `hears_bytes` is how much of it is theirs."""
        for _ in range(members):
            plain = socket.socket()
            if hears_bytes is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, hears_bytes)
            plain.settimeout(HANDSHAKE_S)
            plain.bind((self._source, 0))
            plain.connect((self._host, self._port))
            member = self._tls.wrap_socket(plain, server_hostname=self._host)
            self._members.append(member)
            if self._opening:
                member.sendall(self._opening)

    def drip(self) -> None:
        for member in self.staying:
            try:
                member.sendall(self._drip)
            except OSError:
                continue  # cut off in this moment

    @property
    def staying(self) -> list[ssl.SSLSocket]:
        """Whom the proxy has not cut off yet."""
        return [member for member in self._members if not _cut_off(member)]

    def until_cut_off(self, patience_s: float) -> int:
        """How many are still there when patience ends."""
        ends_at = time.monotonic() + patience_s
        while self.staying and time.monotonic() < ends_at:
            time.sleep(0.05)
        return len(self.staying)

    def statuses(self) -> Counter[int]:
        """Of the answers that came so far; 0 where none did."""
        return Counter(_status(member) for member in self._members)

    def leave(self) -> None:
        for member in self._members:
            member.close()


def _cut_off(member: socket.socket) -> bool:
    looked_at = select.poll()
    looked_at.register(member.fileno(), select.POLLRDHUP)
    return any(event & _GONE for _, event in looked_at.poll(0))


def _status(member: ssl.SSLSocket) -> int:
    member.settimeout(0.01)
    try:
        line = member.recv(4096)
    except OSError:
        return 0
    return int(line.split()[1]) if line.startswith(b"HTTP/") else 0
