"""Ports for listeners that have to be named before they are opened."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOWEST = 10_000
"""Below it are ports at which well-known services listen."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a free port outside the range from which the kernel assigns ports by itself.

    A port of that range may be taken by a connection of another test, which open thousands, as soon as it is free.
    """
    dice = random.SystemRandom()
    chosen_by_the_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = dice.randrange(LOWEST, chosen_by_the_kernel)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
