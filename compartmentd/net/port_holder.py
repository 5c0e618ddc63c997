"""Finds the process that listens on a TCP port, for the message that the port is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")

_LISTENING = "0A"
"""TCP_LISTEN of the kernel's `include/net/tcp_states.h`, as `/proc/net/tcp` writes it."""


def find_port_holder(port: int, proc: Path = PROC) -> str | None:
    """Return the process that listens on a port, as `4711 (`name`)`.

    `None` if none is seen: the process may be another user's, or of another container.
    """
    wanted = {f"socket:[{inode}]" for inode in _iter_inodes(port, proc)}
    if not wanted:
        return None
    for process in proc.glob("[0-9]*"):
        try:
            holds = any(str(link.readlink()) in wanted for link in (process / "fd").iterdir())
            if holds:
                return f"{process.name} (`{(process / 'comm').read_text(errors='replace').strip()}`)"
        except OSError:  # it has ended meanwhile, or is not ours to look into
            continue
    return None


def _iter_inodes(port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port (proc_net_tcp.txt of the kernel's documentation)."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
