"""The receiving end of `$NOTIFY_SOCKET`, as a service manager has it."""

from __future__ import annotations

import secrets
import socket
import time

from tests.support.timing import seconds


class Manager:
    """Receives at an abstract address of its own, unless it is given another one."""

    def __init__(self, address: str = "") -> None:
        self.address = address or f"@compartmentd-test-{secrets.token_hex(8)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()

    def environ(self, **more: str) -> dict[str, str]:
        """Return the variables that it gives to a service."""
        return {"NOTIFY_SOCKET": self.address, **more}

    def received(self) -> list[dict[str, str]]:
        """Return what came since the last look, each datagram as its assignments."""
        found = []
        while True:
            try:
                lines = self.socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in lines))

    def until(self, name: str, limit: float = 30) -> list[dict[str, str]]:
        """Wait for a datagram that assigns `name`, and return all up to it."""
        found: list[dict[str, str]] = []
        deadline = time.monotonic() + seconds(limit)
        while not any(name in datagram for datagram in found):
            assert time.monotonic() < deadline, f"no {name}, only {found}"
            time.sleep(0.01)
            found += self.received()
        return found
