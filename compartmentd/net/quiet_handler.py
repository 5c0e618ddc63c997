"""The access log of Tornado's handlers: never a query string, since it holds session ids and may hold tokens."""

from __future__ import annotations

import logging

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from compartmentd.telemetry.logs import admits, log, logger
from compartmentd.telemetry.shorten import shorten_unknown


def log_request(handler: RequestHandler) -> None:
    """Log a finished request in place of Tornado's own line, which has the whole query."""
    request = handler.request
    log_answer(
        request.method or "",
        request.path,
        handler.get_status(),
        request.remote_ip or "",
        request.request_time(),
    )


def is_logged(status: int) -> bool:
    """Return whether answers with this status are logged at all."""
    return logger.isEnabledFor(logging.DEBUG if status < 400 else logging.INFO)


def log_answer(method: str, path: str, status: int, address: str, seconds: float | None = None) -> None:
    """Log a request that was answered.

    Successful ones are logged at debug level alone, since a polling client makes two requests for each message.
    Anyone can cause the others, so their lines are limited to a rate.

    Args:
        method: the request's method.
        path: its path, without the query.
        status: the status of the answer.
        address: the client's address.
        seconds: the time that it took, if known.
    """
    level = logging.DEBUG if status < 400 else logging.INFO
    if not logger.isEnabledFor(level) or (status >= 400 and not admits(f"request answered {status}")):
        return
    shown = shorten_unknown(path)
    log(
        level,
        "request",
        f"{method} {shown} {status}",
        method=method,
        path=shown,
        status=status,
        address=address,
        seconds=None if seconds is None else round(seconds, 6),
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
    """Answers 404 for every path that the server does not have."""

    def prepare(self) -> None:
        """Answer."""
        self.set_status(404)
        self.finish()
