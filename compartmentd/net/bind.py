"""Binds listening sockets for declared addresses: TCP, unix, and those that systemd passes."""

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
from typing import Any, NamedTuple

from compartmentd.errors import SocketInUse, UsageError
from compartmentd.net.port_holder import find_port_holder
from compartmentd.util.listen_address import ListenAddress, SystemdAddress, TcpAddress, UnixAddress

BACKLOG = 4096
"""Connections that may wait to be accepted; after a restart all clients reconnect at once."""

_CHOICES = 10
"""Attempts to get a port from the system that is free for each address of a listener."""

UNIX_MODE = 0o660
FIRST_PASSED = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class SocketFile(NamedTuple):
    """The file of a unix socket, at a path that may later have another."""

    path: str
    device: int
    inode: int


Passed = Mapping[str, tuple[socket.socket, ...]]
_Place = tuple[socket.AddressFamily, Any]


def bind(address: ListenAddress, passed: Passed) -> list[socket.socket]:
    """Return the listening, non-blocking sockets of an address; a host name or `*` may mean several.

    Raises:
        UsageError: the address cannot be bound; the message says why.
    """
    match address:
        case TcpAddress(host, port):
            return _bind_tcp(host, port)
        case UnixAddress(path):
            return [bind_unix(path)]
        case SystemdAddress(name):
            return _take_passed(name, passed)


def is_loopback(address: ListenAddress, passed: Passed) -> bool:
    """Return whether only this machine can reach the address; of host names only `localhost` counts."""
    match address:
        case TcpAddress(host, _):
            return host == "localhost" or _is_loopback_ip(host)
        case UnixAddress():
            return True
        case SystemdAddress(name):
            return all(_is_loopback_socket(sock) for sock in passed.get(name, ()))


def take_passed_sockets(environ: MutableMapping[str, str], pid: int, first: int = FIRST_PASSED) -> Passed:
    """Return the sockets that systemd passed to this very process, by name (sd_listen_fds(3)).

    The environment's variables are removed, so that no child takes the sockets for its own, and the descriptors are
    not inherited.
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
    """Return a socket that listens at the path, with mode 0660; the file of a dead process is replaced.

    Raises:
        SocketInUse: another process listens there; `advice` says what to do then.
        UsageError: the path is not a socket, or it cannot be used.
    """
    _remove_stale(path, advice)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The new file has at most the rights of the descriptor, so it is never open to others. The umask may have
        # taken some away, which chmod gives back.
        os.fchmod(sock.fileno(), UNIX_MODE)
        sock.bind(path)
        Path(path).chmod(UNIX_MODE)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(f"cannot listen on `unix:{path}`: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


def identify_socket_file(sock: socket.socket) -> SocketFile | None:
    """Return the file of a unix socket, or `None` for other sockets and for those without a file."""
    if sock.family != socket.AF_UNIX or sock.fileno() == -1:
        return None
    path = sock.getsockname()
    if not path or not isinstance(path, str) or path.startswith("\0"):
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return SocketFile(path, found.st_dev, found.st_ino)


def remove_socket_file(sock: socket.socket, made: SocketFile | None) -> None:
    """Remove the file that a unix socket has made, before it is closed, unless another process has put one there.

    A daemon that hangs may find its path taken by the one that was started in its place.

    Args:
        sock: the socket.
        made: its file, as it was when it was bound.
    """
    if made is not None and identify_socket_file(sock) == made:
        Path(made.path).unlink(missing_ok=True)


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places: list[_Place] = sorted({(family, where) for family, _, _, _, where in found})
        return _bind_chosen(places) if port == 0 else _bind_each(places, port)
    except OSError as error:
        raise UsageError(f"cannot listen on `{TcpAddress(host, port)}`: {_explain(error, port)}") from None


def _bind_chosen(places: list[_Place]) -> list[socket.socket]:
    """Bind each address at one port that the system chooses; a port chosen for one may be taken at another."""
    for _ in range(_CHOICES - 1):
        try:
            return _bind_each(places, 0)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return _bind_each(places, 0)


def _bind_each(places: list[_Place], port: int) -> list[socket.socket]:
    """Bind each address, IPv4 first; a family that this machine lacks is left out if there is another."""
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


def _explain(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE and port:
        holder = find_port_holder(port)
        whose = "`ss -ltnp` shows by which process" if holder is None else f"by process {holder}"
        return f"{os.strerror(error.errno)}, {whose}: stop it, or write another address"
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
    """Remove the file of a socket that no process listens on; the kernel keeps it when a process dies."""
    try:
        found = Path(path).lstat()
    except OSError:
        return  # there is no file, or it cannot be seen: bind says so
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError(f"cannot listen on `unix:{path}`: the file is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(path)
        holder = "" if refused else _describe_peer(probe)
    # EAGAIN means a listener with a full backlog.
    if refused not in (errno.ECONNREFUSED, errno.ENOENT):
        message = f"cannot listen on `unix:{path}`: another process listens there{holder and f', {holder}'}"
        raise SocketInUse(path, message, advice)
    if refused == errno.ECONNREFUSED:
        Path(path).unlink()


def _describe_peer(connected: socket.socket) -> str:
    """Return the process at the other end, or its user if the process is not visible, as in a container."""
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
