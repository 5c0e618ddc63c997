"""Binds the listeners of a configuration, and derives their names and the options of the server."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from compartmentd.configuration.settings import Configuration, ServerSettings
from compartmentd.errors import UsageError
from compartmentd.net.admin_socket import find_admin_socket_path, find_temporary_directory, prepare_private
from compartmentd.net.bind import Passed, bind, bind_unix, identify_socket_file, remove_socket_file
from compartmentd.sessions.missing_token import list_unread_places
from compartmentd.transport.options import KeptParts, NoticedPart, ServerOptions
from compartmentd.util.listen_address import ListenAddress, TcpAddress, UnixAddress

PAGE = TcpAddress("127.0.0.1", 8001)
"""Where `serve --dev` serves the playground if the configuration names no admin listener on TCP."""


class Listeners:
    """The bound sockets of a daemon; those that the service manager passed are its own to remove.

    Attributes:
        public: where clients connect.
        admin: where administrators ask.
        handed_over: whether the service manager holds a public socket: clients that come while the daemon ends wait
            there for the next process.
    """

    def __init__(
        self, public: Sequence[socket.socket], admin: Sequence[socket.socket], passed: Passed
    ) -> None:
        theirs = {sock for sockets in passed.values() for sock in sockets}
        self.public = tuple(public)
        self.admin = tuple(admin)
        self.handed_over = not theirs.isdisjoint(public)
        # By socket, the file that it has made: by the end another process may listen at the same path.
        self._own = {sock: identify_socket_file(sock) for sock in {*public, *admin} - theirs}

    @classmethod
    def bind(
        cls, settings: ServerSettings, passed: Passed, environ: Mapping[str, str], *, with_page: bool = False
    ) -> Listeners:
        """Bind all addresses of a configuration.

        Args:
            settings: The addresses.
            passed: The sockets of the service manager.
            environ: The environment.
            with_page: Whether a browser must reach the admin pages: then a configuration without an admin listener
                on TCP gets one.

        Raises:
            UsageError: an address or the admin socket cannot be bound.
        """
        public, admin = bind_all(settings.listen, passed), bind_admin(settings, passed, environ)
        if with_page and all(sock.family == socket.AF_UNIX for sock in admin):
            admin += _bind_page()
        return cls(public, admin, passed)

    @property
    def admin_path(self) -> str:
        """The path of the admin socket, which every daemon has."""
        return next(str(sock.getsockname()) for sock in self.admin if sock.family == socket.AF_UNIX)

    def find_tcp_url(self, sockets: Iterable[socket.socket], scheme: str) -> str | None:
        """Return the URL of the first of these sockets that a browser can reach."""
        return next((format_url(sock, scheme) for sock in sockets if sock.family != socket.AF_UNIX), None)

    def list_page_origins(self, scheme: str) -> tuple[str, ...]:
        """Return the origins of all pages that these listeners serve."""
        return tuple(iter_page_origins((*self.public, *self.admin), scheme))

    def unlink_public(self) -> None:
        """Remove the files of the public unix sockets, so that nobody comes to a daemon that ends."""
        for sock in self._own.keys() & set(self.public):
            remove_socket_file(sock, self._own[sock])

    def unlink_all(self) -> None:
        """Remove the files of all unix sockets; before they are closed, since a closed socket has lost its name."""
        for sock, identity in self._own.items():
            remove_socket_file(sock, identity)


def bind_admin(settings: ServerSettings, passed: Passed, environ: Mapping[str, str]) -> list[socket.socket]:
    """Bind the admin listeners: those of `server.admin`, and the default unix socket where it names none.

    Raises:
        UsageError: an address or the socket cannot be bound.
    """
    declared = [bind_unix(address.path) for address in settings.admin if isinstance(address, UnixAddress)]
    others = [address for address in settings.admin if not isinstance(address, UnixAddress)]
    return [*(declared or [_bind_default(environ, others)]), *bind_all(others, passed)]


def _bind_page() -> list[socket.socket]:
    """Bind the loopback address of the playground: at port 8001, so that an open page finds it again, or any."""
    try:
        return bind(PAGE, {})
    except UsageError:
        return bind(TcpAddress(PAGE.host, 0), {})


def _bind_default(environ: Mapping[str, str], others: Sequence[ListenAddress]) -> socket.socket:
    """Bind the admin socket of a user's daemon that declares none; there is one such socket for each user.

    `others` are the admin listeners that are declared; the advice keeps them.
    """
    path = find_admin_socket_path((), environ, os.getuid(), find_temporary_directory())
    prepare_private(path, os.getuid())
    addresses = (UnixAddress(str(Path(path).with_name("second.sock"))), *others)
    shown = ", ".join(f'"{address}"' for address in addresses)
    why = (
        "`server.admin` names no unix socket, so this one was to be made, as for every daemon; "
        if others
        else ""
    )
    advice = f"{why}a second daemon needs an admin socket of its own: `server: {{admin: [{shown}]}}`"
    return bind_unix(path, advice)


def bind_all(addresses: Iterable[ListenAddress], passed: Passed) -> list[socket.socket]:
    """Bind addresses.

    Raises:
        UsageError: one cannot be bound.
    """
    return [sock for address in addresses for sock in bind(address, passed)]


def format_url(sock: socket.socket, scheme: str) -> str:
    """Return the URL of a listener, as a browser or an operator writes it."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def iter_page_origins(sockets: Iterable[socket.socket], scheme: str) -> Iterator[str]:
    """Yield the origins of pages that these listeners serve, by each name that a browser here may use."""
    for sock in sockets:
        if sock.family != socket.AF_UNIX:
            yield format_url(sock, scheme)
            yield f"{scheme}://localhost:{sock.getsockname()[1]}"


def build_server_options(configuration: Configuration, own_origins: tuple[str, ...] = ()) -> ServerOptions:
    """Return the options of the Socket.IO server for a configuration.

    `own_origins` are allowed in addition: in development the playground comes from the admin listener. They include
    the public listener's own origin, which is the default where the configuration names none.
    """
    server = configuration.server
    origins = (*(server.origins or ()), *own_origins) if own_origins else server.origins
    most: int | None = None
    is_chosen = server.connections_per_address != "default"
    if server.connections_per_address != "default":
        most = server.connections_per_address
    elif server.connections is not None:
        most = max(1, server.connections // 4)
    return ServerOptions(
        path=server.path,
        transports=server.transports,
        origins=origins,
        token_cookies=list_kept_parts(server.token_from).cookies,
        trusted_proxies=server.trusted_proxies,
        ping_interval=server.ping_interval,
        ping_timeout=server.ping_timeout,
        connect_timeout=server.connect_timeout,
        max_payload=configuration.max_payload,
        send_buffer=server.send_buffer,
        connections=server.connections,
        connections_per_address=most,
        limits_loopback=is_chosen,
        connect_rate=server.connect_rate,
        pending=server.pending,
        header_timeout=server.header_timeout,
        body_timeout=server.body_timeout,
        kept=list_kept_parts(server.token_from),
    )


def list_kept_parts(token_from: Sequence[str]) -> KeptParts:
    """Return the parts of a first request that can hold a token: later CONNECTs of its connection read them.

    Of other parts where clients send tokens it is noted whether they were there, for the line of a refusal.
    """
    places = [place.partition(":")[::2] for place in token_from]
    return KeptParts(
        headers=("authorization",) if ("header", "") in places else (),
        cookies=tuple(name for kind, name in places if kind == "cookie"),
        parameters=tuple(name for kind, name in places if kind == "query"),
        noticed=tuple(NoticedPart(*place) for place in list_unread_places(tuple(token_from))),
    )
