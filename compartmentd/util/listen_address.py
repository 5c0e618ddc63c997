"""Addresses to listen on, as values: TCP, unix socket, or a socket that systemd passes.

The configuration reads them, and `net` binds them; neither knows the other.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class TcpAddress(msgspec.Struct, frozen=True, tag=True):
    """`HOST:PORT`; `host` is empty for all interfaces. Port 0 lets the system choose (development, tests)."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as it is written in a configuration."""
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}"


class UnixAddress(msgspec.Struct, frozen=True, tag=True):
    """`unix:/PATH`."""

    path: str

    def __str__(self) -> str:
        """Return the address as it is written in a configuration."""
        return f"unix:{self.path}"


class SystemdAddress(msgspec.Struct, frozen=True, tag=True):
    """`systemd:NAME`, a socket that systemd's socket activation passes under this name (sd_listen_fds(3))."""

    name: str

    def __str__(self) -> str:
        """Return the address as it is written in a configuration."""
        return f"systemd:{self.name}"


ListenAddress: TypeAlias = TcpAddress | UnixAddress | SystemdAddress
