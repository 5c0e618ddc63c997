"""Listening sockets from declared addresses: TCP, unix, and those that systemd passes."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from compartmentd.errors import UsageError
from compartmentd.util.listen_address import ListenAddress, SystemdAddress, TcpAddress, UnixAddress

BACKLOG = 4096
"""Connections that wait while the loop is busy; after a restart every client comes at once."""

_CHOICES = 10
"""Ports that the system may choose until one is free at all places of a listener."""

UNIX_MODE = 0o660
FIRST_PASSED = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""

Passed = Mapping[str, tuple[socket.socket, ...]]
_Place = tuple[socket.AddressFamily, Any]


def bind(address: ListenAddress, passed: Passed) -> list[socket.socket]:
    """Return the listening, non-blocking sockets of an address; a host name or `*` may mean several.

    Raises:
        UsageError: the address cannot be had, and why.
    """
    match address:
        case TcpAddress(host, port):
            return _bind_tcp(host, port)
        case UnixAddress(path):
            return [bind_unix(path)]
        case SystemdAddress(name):
            return _take_passed(name, passed)


def is_loopback(address: ListenAddress, passed: Passed) -> bool:
    """Tell whether only this machine can reach the address; of the host names only `localhost` counts."""
    match address:
        case TcpAddress(host, _):
            return host == "localhost" or _is_loopback_ip(host)
        case UnixAddress():
            return True
        case SystemdAddress(name):
            return all(_is_loopback_socket(sock) for sock in passed.get(name, ()))


def passed_sockets(environ: MutableMapping[str, str], pid: int, first: int = FIRST_PASSED) -> Passed:
    """Take over the sockets that systemd passed to this very process, by name (sd_listen_fds(3)).

    The variables are removed, so that no child takes them for its own, and the descriptors are not inherited.
    """
    meant_for = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if meant_for != str(pid) or not count.isdecimal():
        return {}
    taken: dict[str, tuple[socket.socket, ...]] = {}
    for index in range(int(count)):
        # systemd itself calls a socket without a name `unknown`.
        name = (names[index] if index < len(names) else "") or "unknown"
        sock = socket.socket(fileno=first + index)
        sock.set_inheritable(False)
        sock.setblocking(False)
        taken[name] = (*taken.get(name, ()), sock)
    return taken


def bind_unix(path: str, advice: str = "") -> socket.socket:
    """Return a socket that listens at the path, with mode 0660; one that a dead process left is replaced.

    Raises:
        UsageError: somebody listens there (`advice` says what to do then), something else is there, or the path
            cannot be used.
    """
    _remove_stale(path, advice)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The new file never has more rights than the descriptor had: at no moment is it open to others. The
        # umask may have taken from them, so chmod gives them back.
        os.fchmod(sock.fileno(), UNIX_MODE)
        sock.bind(path)
        Path(path).chmod(UNIX_MODE)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(f"cannot listen on `unix:{path}`: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


def unlink(sock: socket.socket) -> None:
    """Remove the file of a unix socket that is about to close; other sockets, and closed ones, have none."""
    if sock.family != socket.AF_UNIX or sock.fileno() == -1:
        return
    path = sock.getsockname()
    if path and isinstance(path, str) and not path.startswith("\0"):
        Path(path).unlink(missing_ok=True)


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places: list[_Place] = sorted({(family, where) for family, _, _, _, where in found})
        return _bind_chosen(places) if port == 0 else _bind_each(places, port)
    except OSError as error:
        raise UsageError(f"cannot listen on `{TcpAddress(host, port)}`: {_why(error)}") from None


def _bind_chosen(places: list[_Place]) -> list[socket.socket]:
    """Bind each place at one port of the system's choice: what it chooses for one may be somebody's at another."""
    for _ in range(_CHOICES - 1):
        try:
            return _bind_each(places, 0)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return _bind_each(places, 0)


def _bind_each(places: list[_Place], port: int) -> list[socket.socket]:
    """Bind each place, IPv4 first; a family that this machine lacks is left out where there is another."""
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for family, (host, _, *scope) in places:
            try:
                # An IPv6 socket takes no IPv4, so a peer's address always has the form of its own family.
                sock = socket.create_server((host, port, *scope), family=family, backlog=BACKLOG)
            except OSError as error:
                if sockets and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    continue
                raise
            undo.callback(sock.close)
            sock.setblocking(False)
            port = sock.getsockname()[1]  # where port 0 let the system choose, all have the same
            sockets.append(sock)
        undo.pop_all()
        return sockets


def _why(error: OSError) -> str:
    # The text of `create_server` repeats the address.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _take_passed(name: str, passed: Passed) -> list[socket.socket]:
    if name in passed:
        return list(passed[name])
    others = ", ".join(f"`{other}`" for other in passed) or "none"
    raise UsageError(
        f"systemd passed no socket named `{name}` (passed: {others}): "
        "set `FileDescriptorName=` in the socket unit and start the service by it",
    )


def _remove_stale(path: str, advice: str) -> None:
    """Remove a socket that nobody listens on any more; the kernel keeps its file when the process dies."""
    try:
        found = Path(path).lstat()
    except OSError:
        return  # nothing there, or not to be seen: bind tells
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError(f"cannot listen on `unix:{path}`: something else than a socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(path)
        holder = "" if refused else _peer_of(probe)
    # EAGAIN is a listener with a full backlog: very much alive.
    if refused not in (errno.ECONNREFUSED, errno.ENOENT):
        told = f"cannot listen on `unix:{path}`: another process listens there{holder and f', {holder}'}"
        raise UsageError(f"{told}; {advice}" if advice else told)
    if refused == errno.ECONNREFUSED:
        Path(path).unlink()


def _peer_of(connected: socket.socket) -> str:
    """Return which process listens at the other end, as far as it can be seen from here: a container hides it."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"of the user with id {uid}"
    return f"{pid} (`{name}`)"


_CREDENTIALS = struct.Struct("iII")
"""`struct ucred` of unix(7): the process that called `listen`, its user and group."""


def _is_loopback_ip(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_loopback_socket(sock: socket.socket) -> bool:
    return sock.family == socket.AF_UNIX or _is_loopback_ip(sock.getsockname()[0])
