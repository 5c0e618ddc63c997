"""The access log of Tornado's handlers: never a query string, since it holds session ids and may hold tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from compartmentd.telemetry.logs import admits, log, logger
from compartmentd.telemetry.shorten import shorten_unknown


class Why(NamedTuple):
    """Why a request was refused: a reason from a fixed list, and a sentence that the answer has, too."""

    reason: str
    detail: str


def log_request(handler: RequestHandler) -> None:
    """Log a finished request in place of Tornado's own line, which has the whole query."""
    request = handler.request
    log_answer(
        request.method or "",
        request.path,
        handler.get_status(),
        request.remote_ip or "",
        request.request_time(),
        why=getattr(handler, "why", None),
    )


def is_logged(status: int) -> bool:
    """Return whether answers with this status are logged at all."""
    return logger.isEnabledFor(logging.DEBUG if status < 400 else logging.INFO)


def log_answer(
    method: str,
    path: str,
    status: int,
    address: str,
    seconds: float | None = None,
    *,
    why: Why | None = None,
) -> None:
    """Log a request that was answered.

    Successful ones are logged at debug level alone, since a polling client makes two requests for each message.
    Anyone can cause the others, so their lines are limited to a rate.

    Args:
        method: the request's method.
        path: its path, without the query.
        status: the status of the answer.
        address: the client's address.
        seconds: the time that it took, if known.
        why: why it was refused.
    """
    level = logging.DEBUG if status < 400 else logging.INFO
    if not logger.isEnabledFor(level) or (
        status >= 400 and not admits(f"request answered {status}{f' {why.reason}' if why else ''}")
    ):
        return
    shown = shorten_unknown(path)
    log(
        level,
        "request",
        f"{method} {shown} {status}{f': {why.detail}' if why else ''}",
        method=method,
        path=shown,
        status=status,
        address=address,
        seconds=None if seconds is None else round(seconds, 6),
        reason=why.reason if why else None,
    )


class QuietHandler(RequestHandler):
    """A handler that tells neither its log nor its clients more than they need."""

    def set_default_headers(self) -> None:
        """Send no `Server` header, which would name Tornado and its version."""
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """Compute no ETag: no two answers are the same."""

    def log_exception(self, typ: object, value: object, tb: object) -> None:
        """Log an error without the query; a client's mistake is no error of ours."""
        del typ, tb
        if isinstance(value, BaseException) and not isinstance(value, HTTPError | StreamClosedError):
            request = self.request
            log(
                logging.ERROR,
                "request_failed",
                f"{request.method} {shorten_unknown(request.path)} failed",
                exc=value,
            )


class NotFoundHandler(QuietHandler):
    """Answers 404 for every path that the server does not have, and says where it is instead."""

    why: Why | None = None
    """Why a request was refused, for the log."""

    def initialize(self, server_path: str, count: Callable[[], None]) -> None:
        """Take the path that clients should ask for, and what counts those that do not."""
        self._server_path = server_path
        self._count = count

    def prepare(self) -> None:
        """Answer."""
        detail = (
            f"nothing is at this path; Socket.IO is at `{self._server_path}` (`path` of the client's options)"
        )
        self.why = Why("path", detail)
        self._count()
        self.set_status(404)
        self.set_header("Content-Type", "application/json")
        self.finish({"reason": "path", "detail": detail})
