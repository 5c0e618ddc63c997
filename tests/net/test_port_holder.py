"""The process that has a port: found among those that can be seen, and nothing is guessed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from compartmentd.net.port_holder import find_port_holder

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = (
    "   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000  0 4711 1\n"
)


def fake_proc(directory: Path, port: int, state: str) -> Path:
    """Return a `/proc` with one socket, which process 42 holds beside one that may not be looked into."""
    (directory / "net").mkdir()
    (directory / "net/tcp").write_text(HEAD + LINE.format(port=port, state=state))
    (directory / "7").mkdir()
    (directory / "42/fd").mkdir(parents=True)
    (directory / "42/comm").write_text("holder\n")
    (directory / "42/fd/3").symlink_to("socket:[4711]")
    return directory


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_this_process_is_found(host: str, family: socket.AddressFamily) -> None:
    with socket.create_server((host, 0), family=family) as sock:
        found = find_port_holder(sock.getsockname()[1])
    assert found is not None
    assert found.startswith(f"{os.getpid()} (`")


@pytest.mark.parametrize(
    ("port", "state", "found"), [(8000, "0A", "42 (`holder`)"), (8001, "0A", None), (8000, "01", None)]
)
def test_only_who_listens_on_that_port(tmp_path: Path, port: int, state: str, found: str | None) -> None:
    assert find_port_holder(8000, fake_proc(tmp_path, port, state)) == found


def test_without_a_proc_nobody_is_named(tmp_path: Path) -> None:
    assert find_port_holder(8000, tmp_path) is None
