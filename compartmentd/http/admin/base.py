"""The base of all handlers of the admin listeners: access, bodies, errors, header fields and the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from types import TracebackType
from typing import Any

import msgspec
from tornado.web import HTTPError, RequestHandler

from compartmentd.http.admin.access import is_own_host, is_own_origin, read_bearer_token
from compartmentd.http.admin.interface import Administration, Development, MetricsSource
from compartmentd.http.admin.subscribers import Audience
from compartmentd.telemetry.logs import admits, log, logger
from compartmentd.telemetry.shorten import shorten_unknown
from compartmentd.telemetry.tracing import Tracing

BODY_LIMIT = 64 * 1024
"""Bytes of a request's body; no request needs more."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


_STANDARD = {
    400: ("invalid_request", "the request does not have the form that this resource takes"),
    404: ("not_found", "there is no such resource"),
    405: ("method_not_allowed", "the resource does not take this method"),
}
_FAILED = ("failed", "this went wrong inside compartmentd; its log says more")


class AdminError(HTTPError):
    """An error that answers a request; `code` is stable, `message` is for a person.

    `challenge` is the WWW-Authenticate header of a 401 (RFC 6750, 3).
    """

    def __init__(self, status: int, code: str, message: str, challenge: str | None = None) -> None:
        super().__init__(status)
        self.code = code
        self.message = message
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Site:
    """The objects that the handlers of a listener share.

    `trusted` is set for unix listeners: anyone who may open the socket is an administrator, and no browser can.
    `files` are the pages, by name.
    """

    administration: Administration
    metrics: MetricsSource
    development: Development | None
    trusted: bool
    audience: Audience
    files: Mapping[str, Traversable]
    tracing: Tracing


class AdminHandler(RequestHandler):
    """A resource of the admin listeners. By default it is for administrators alone."""

    open_to_all = False
    socket_only = False

    def initialize(self, site: Site) -> None:
        """Take the arguments of the route."""
        self.site = site
        self.span: Any = None

    @property
    def development(self) -> Development:
        """The resources that `serve --dev` adds; without it they do not exist."""
        if self.site.development is None:
            raise AdminError(404, "not_found", "there is no such page without `serve --dev`")
        return self.site.development

    def set_default_headers(self) -> None:
        """Forbid everything that a browser might do with an answer; each page allows what it needs."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse a request without access, before the body is looked at."""
        if self.site.tracing.on and not self.open_to_all:
            request = self.request
            self.span = self.site.tracing.begin_request(request.method or "", request.path, request.headers)
        if not self.site.trusted:
            self._check_host()
            if not self.open_to_all:
                self._check_origin()
                self.check_token()
        if self.socket_only and not self.site.trusted:
            raise AdminError(403, "socket_only", "this is answered on the admin unix socket only")
        if len(self.request.body) > BODY_LIMIT:
            raise AdminError(413, "too_large", f"the body has more than {BODY_LIMIT} bytes")

    def check_token(self) -> None:
        """Refuse a request over TCP without the bearer token of an administrator."""
        header = self.request.headers.get("Authorization")
        if header is None:
            raise AdminError(
                401, "token_missing", "a token is needed: `compartmentd admin-token` prints one", "Bearer"
            )
        token = read_bearer_token(header)
        if token is None:
            raise AdminError(
                401, "token_invalid", "the Authorization header must be `Bearer` and one token", "Bearer"
            )
        refused = self.site.administration.authorize(token)
        if refused is not None and refused.known:
            raise AdminError(403, "rule_denied", refused.message, 'Bearer error="insufficient_scope"')
        if refused is not None:
            raise AdminError(401, "token_invalid", refused.message, 'Bearer error="invalid_token"')

    def read_json_body(self) -> dict[str, Any]:
        """Return the request's JSON object; an absent body is an empty one."""
        if not self.request.body:
            return {}
        # A page of another origin must ask first to send this type (CORS preflight), and is always refused.
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise AdminError(415, "unsupported_type", "the body must be of type application/json")
        try:
            return msgspec.json.decode(self.request.body, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise AdminError(400, "invalid_body", "the body must be a JSON object") from None

    def require_no_body(self) -> None:
        """Refuse a request that has a body, instead of ignoring it."""
        if self.read_json_body():
            raise AdminError(400, "invalid_body", "this request takes no body")

    def send_json(self, record: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(msgspec.json.encode(record))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error as JSON; of an exception only the message that is meant for a person is shown."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, AdminError):
            code, message = error.code, error.message
            if error.challenge is not None:
                self.set_header("WWW-Authenticate", error.challenge)
        else:
            code, message = _STANDARD.get(status_code, _FAILED)
        if status_code == 405:
            self.set_header("Allow", ", ".join(self._list_methods()))
        self.send_json({"ok": False, "error": {"code": code, "message": message}}, status_code)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log our own failures, without the query; errors of the client are in the access log."""
        del typ, tb
        if value is not None and not isinstance(value, HTTPError):
            what = f"{self.request.method} {shorten_unknown(self.request.path)} failed"
            log(logging.ERROR, "admin_request_failed", what, exc=value)

    def log_access(self) -> None:
        """Log an answered request, without the query, which may hold secrets.

        Resources that are open to all, and those that the playground reads, are requested all the time, so they
        are logged only where they fail.
        """
        request, status = self.request, self.get_status()
        if self.span is not None:
            self.site.tracing.end_request(self.span, status)
        usual = self.open_to_all or self.site.development is not None
        level = logging.DEBUG if usual and status < 400 else logging.INFO
        if not logger.isEnabledFor(level) or (
            status >= 400 and not admits(f"admin request answered {status}")
        ):
            return
        log(
            level,
            "admin_request",
            f"{request.method} {shorten_unknown(request.path)} {status}",
            method=request.method,
            path=shorten_unknown(request.path),
            status=status,
            address="unix" if self.site.trusted else request.remote_ip,
            seconds=round(request.request_time(), 6),
        )

    def _check_host(self) -> None:
        # Requests of HTTP/1.0 may come without a Host header; no browser sends them.
        if not is_own_host(self.request.host, self.site.administration.admin_hosts):
            raise AdminError(
                421,
                "unknown_host",
                "the admin listener answers to an IP address, `localhost` and the `server.admin_hosts`",
            )

    def _check_origin(self) -> None:
        origin = self.request.headers.get("Origin")
        if origin is not None and not is_own_origin(origin, self.request.host):
            raise AdminError(403, "foreign_origin", "pages of another origin may not ask the admin listener")

    def _list_methods(self) -> list[str]:
        return [
            method
            for method in ("GET", "HEAD", "POST")
            if getattr(type(self), method.lower()) is not getattr(RequestHandler, method.lower())
        ]
