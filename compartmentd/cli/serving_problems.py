"""What `serve` would refuse and a compiler cannot see: the state directory, development keys, addresses in use.

`check` tells it as notes, since a file may be checked where it is not served; with `--strict` they are errors.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from compartmentd.configuration.settings import ServerSettings
from compartmentd.net.admin_socket import find_admin_socket_path, find_temporary_directory
from compartmentd.problems import Problem, Span, span_of_file
from compartmentd.tokens.entry import SECRETS, KeySource
from compartmentd.util.listen_address import TcpAddress


def find_state_problem(server: ServerSettings, span: Span | None) -> Iterator[Problem]:
    """Yield a note if the state directory cannot be used."""
    if server.state is None:
        return
    path = Path(server.state)
    why = None
    if not path.is_dir():
        why = "it is not there" if not path.exists() else "it is no directory"
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        why = "it cannot be read and written by this user"
    if why is not None:
        message = f"`serve` would refuse the state directory `{server.state}`: {why}"
        help_ = "make the directory, readable and writable for the user that runs the daemon"
        yield Problem("note", "state.unusable", message, span or span_of_file(""), help_)


def find_development_key(source: KeySource, material: bytes) -> Iterator[Problem]:
    """Yield a note if a secret is one that `serve --dev` made."""
    from compartmentd.tokens.key import DEVELOPMENT_PREFIX  # noqa: PLC0415 - importing the cryptography takes long

    if source.kind in SECRETS and material.startswith(DEVELOPMENT_PREFIX):
        message = f"`serve` refuses the development key `{source.name}` without `--dev`"
        help_ = "use a secret of your own (32 bytes or more) where it is served"
        yield Problem("note", "key.development", message, source.span, help_)


def find_carriage_return(source: KeySource, material: bytes) -> Iterator[Problem]:
    """Yield a warning if a secret's file ends as files of Windows do: the CR is then a part of the secret."""
    if source.kind == "secret_file" and material.endswith((b"\r\n", b"\r")):
        message = f"`{source.name}` ends with a carriage return, which is a part of the secret"
        help_ = "write the file without one, unless the provider's secret has it too"
        yield Problem("warning", "secret.carriage-return", message, source.span, help_)


def find_taken_addresses(server: ServerSettings, spans: dict[str, Span]) -> Iterator[Problem]:
    """Yield a note for each address that is written in the file and that another process listens on.

    Where the daemon of this configuration runs, it is that process, and nothing is said.
    """
    written = [
        (key, addresses)
        for key, addresses in (("listen", server.listen), ("admin", server.admin))
        if key in spans
    ]
    for key, addresses in written:
        for address in addresses:
            why = _try_to_bind(address) if isinstance(address, TcpAddress) and address.port else None
            if why is not None and isinstance(address, TcpAddress) and not _is_served(server):
                message = f"`serve` cannot listen on port {address.port}: {why}"
                help_ = "stop the process that has it (`ss -ltnp` shows it), or take another address"
                yield Problem("note", "address.in-use", message, spans[key], help_)


def _try_to_bind(address: TcpAddress) -> str | None:
    """Return why a socket cannot be bound; `None` if it can, or if only the network could tell."""
    host = address.host or "0.0.0.0"  # noqa: S104 - nothing is accepted: the socket is closed at once
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1" if host == "localhost" else host, address.port))
            sock.listen(1)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            return (error.strerror or "it is taken").lower()
    return None


def _is_served(server: ServerSettings) -> bool:
    path = find_admin_socket_path(server.admin, os.environ, os.getuid(), find_temporary_directory())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(1)
            sock.connect(path)
    except OSError:
        return False
    return True
