"""Reads `server`: listeners, TLS, proxies, origins and timeouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compartmentd.configuration.compiler.files_used import FilesUsed, describe_os_error, resolve_path
from compartmentd.configuration.compiler.limits import count_limit, duration, rate_limit, size
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.configuration.settings import ServerSettings, TlsFiles
from compartmentd.document.node import Node
from compartmentd.problems import Span
from compartmentd.util.listen_address import ListenAddress, SystemdAddress, TcpAddress, UnixAddress

_LARGEST_PORT = 65535
_OPAQUE = ("null", "file://")
"""Origins of pages that have none: in a sandboxed frame, or from a disk; anybody can make one."""

_LOGOUT = "/backchannel-logout"

_ANY = "*"
UNIX = "unix"
"""In `trusted_proxies`: any peer that connects through a unix socket."""


def _as_is(data: Any) -> Any:
    return data


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "path": _as_is,
    "watch": _as_is,
    "client": _as_is,
    "health": _as_is,
    "ping_interval": duration,
    "ping_timeout": duration,
    "connect_timeout": duration,
    "drain": duration,
    "send_buffer": size,
    "connections": count_limit,
    "connections_per_address": count_limit,
    "connect_rate": rate_limit,
    "pending": count_limit,
    "failed_tokens": rate_limit,
    "header_timeout": duration,
    "body_timeout": duration,
}
_LISTS = ("admin_hosts", "origins", "transports", "token_from")


class ServerReader:
    """Reads `server`; its rule `admin_access` belongs to the policy and is read there."""

    def __init__(self, files: FilesUsed, report: Report, *, serving: bool) -> None:
        self.files = files
        self.report = report
        self.serving = serving

    def read(self, node: Node | None) -> tuple[ServerSettings, dict[str, Span]]:
        """Return the settings, and the position of each key that is written."""
        if node is None:
            return ServerSettings(), {}
        values: dict[str, Any] = {}
        for key, child in node.usable():
            if key in _PLAIN:
                values[key] = _PLAIN[key](child.data)
            elif key in _LISTS:
                values[key] = tuple(item.data for item in child.items)
        taken: dict[ListenAddress, Span] = {}
        for key in ("listen", "admin"):
            written = node.get(key)
            if written is not None:
                values[key] = tuple(self._read_address(item, taken) for item in written.items)
        state = node.get("state")
        if state is not None:
            values["state"] = resolve_path(state.file, state.data)
        tls = node.get("tls")
        if tls is not None:
            values["tls"] = self._read_tls(tls)
        proxies = node.get("trusted_proxies")
        if proxies is not None:
            values["trusted_proxies"] = tuple(self._read_network(item) for item in proxies.items)
        self._check_origins(node)
        if tls is None and not may_contain(node, "tls", "server"):
            self._check_admin(node.get("admin"), values.get("admin", ()))
        settings = ServerSettings(**values)
        self._check_health(node, settings)
        return settings, {key: child.key_span for key, child in node.usable()}

    def _check_health(self, node: Node, settings: ServerSettings) -> None:
        bare = settings.path.rstrip("/")
        if settings.health in {bare, _LOGOUT} or settings.health.startswith(f"{bare}/"):
            written = node.get("health") or node.get("path")
            message = f"the health path `{settings.health}` is one of the server's own"
            if written is not None:
                self.report.error(written.span, "health.taken", message, "choose another, such as `/healthz`")

    # --- addresses ------------------------------------------------------------------------------------------

    def _read_address(self, node: Node, taken: dict[ListenAddress, Span]) -> ListenAddress:
        address = self._parse(node)
        if address in taken and not (isinstance(address, TcpAddress) and address.port == 0):
            first = taken[address]
            message = f"`{node.data}` is listened on already, at line {first.line}"
            self.report.error(
                node.span,
                "address.twice",
                message,
                "give the clients and the administrators addresses of their own",
            )
        taken.setdefault(address, node.span)
        return address

    def _parse(self, node: Node) -> ListenAddress:
        text: str = node.data
        if text.startswith("unix:"):
            return UnixAddress(text.removeprefix("unix:"))
        if text.startswith("systemd:"):
            return SystemdAddress(text.removeprefix("systemd:"))
        host, _, port = text.rpartition(":")
        if int(port) > _LARGEST_PORT:
            self.report.error(
                node.span, "address.port", f"there is no port {port}", f"ports end at {_LARGEST_PORT}"
            )
        if host.startswith("["):
            self._check_ipv6(node, host[1:-1])
            host = host[1:-1]
        return TcpAddress("" if host == _ANY else host, int(port))

    def _check_ipv6(self, node: Node, host: str) -> None:
        from ipaddress import IPv6Address  # noqa: PLC0415 - few configurations need it

        try:
            IPv6Address(host)
        except ValueError:
            self.report.error(
                node.span,
                "address.ipv6",
                f"`{host}` is not an IPv6 address",
                "write one such as `[::1]:8000`",
            )

    def _check_admin(self, written: Node | None, addresses: Sequence[ListenAddress]) -> None:
        for item, address in zip(() if written is None else written.items, addresses, strict=True):
            if isinstance(address, TcpAddress) and not _is_loopback(address.host):
                message = f"`{item.data}` takes administrators' tokens from other machines without TLS"
                help_ = "listen on `127.0.0.1` behind a proxy with TLS, or set `tls`"
                self.report.warning(item.span, "address.unsafe", message, help_)

    # --- TLS and proxies ------------------------------------------------------------------------------------

    def _read_tls(self, node: Node) -> TlsFiles | None:
        cert, key = node.get("cert"), node.get("key")
        if cert is None or key is None:
            return None
        files = TlsFiles(self._read_tls_file(cert), self._read_tls_file(key), cert.span, key.span)
        self.files.check_secrecy(files.key, key.span, self.report)
        return files

    def _read_tls_file(self, node: Node) -> str:
        """Return the path of a file that serving needs; its contents are not checked here."""
        path = resolve_path(node.file, node.data)
        self.files.record_use("tls_file", path, node.span)
        try:
            self.files.access.read(path)
        except OSError as error:
            self.files.record_missing(path)
            tell = self.report.error if self.serving else self.report.note
            help_ = "paths are relative to the file that names them; serving needs the file"
            tell(node.span, "file.unreadable", f"`{path}`: {describe_os_error(error)}", help_)
        return path

    def _read_network(self, node: Node) -> str:
        from ipaddress import ip_network  # noqa: PLC0415 - few configurations need it

        if node.data == UNIX:
            return UNIX
        try:
            return str(ip_network(node.data))
        except ValueError:
            help_ = "of a network only the bits that the number behind `/` counts are set, as in `10.0.0.0/8`"
            self.report.error(node.span, "proxies.network", f"`{node.data}` is no address or network", help_)
            return UNIX

    # --- origins --------------------------------------------------------------------------------------------

    def _check_origins(self, node: Node) -> None:
        origins, places = node.get("origins"), node.get("token_from")
        if origins is None:
            return
        cookies = [item.data for item in places.items if item.data.startswith("cookie:")] if places else []
        for item in origins.items:
            if item.data in {_ANY, *_OPAQUE} and cookies:
                which = "any page" if item.data == _ANY else "pages of anybody"
                message = f'"{item.data}" would let {which} use the `{cookies[0]}` of its visitors'
                self.report.error(
                    item.span,
                    "origins.any-with-cookies",
                    message,
                    "name the origins, or take no token from a cookie",
                )
            elif item.data == _ANY and len(origins.items) > 1:
                self.report.error(
                    item.span, "origins.any-not-alone", '"*" stands alone', "remove it, or the others"
                )
            elif _has_default_port(item.data):
                self.report.warning(
                    item.span,
                    "origins.default-port",
                    f"no browser sends `{item.data}`",
                    "leave the scheme's own port out",
                )


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _has_default_port(origin: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return (scheme, rest.rpartition(":")[2]) in {("http", "80"), ("https", "443")}
