"""What the server logs about requests: never a query string, since it holds sids and may hold tokens."""

from __future__ import annotations

import logging

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from compartmentd.telemetry.logs import admits, log, logger

_LONGEST = 200
"""Characters that are written of a path, which is whatever a client asked for."""


def log_request(handler: RequestHandler) -> None:
    """Write one line for a finished request; Tornado's own prints the whole address."""
    request = handler.request
    tell_request(
        request.method or "",
        request.path,
        handler.get_status(),
        request.remote_ip or "",
        request.request_time(),
    )


def is_told(status: int) -> bool:
    """Tell whether the lines of answers with this status are written at all."""
    return logger.isEnabledFor(logging.DEBUG if status < 400 else logging.INFO)


def tell_request(method: str, path: str, status: int, address: str, seconds: float | None = None) -> None:
    """Write the line of a request that was answered; `path` is without the query.

    Those that went well are told only where all details are wanted: a client on polling makes two for each
    message. Anyone can cause the others, so they are held to a rate.
    """
    level = logging.DEBUG if status < 400 else logging.INFO
    if not logger.isEnabledFor(level) or (status >= 400 and not admits(f"request answered {status}")):
        return
    log(
        level,
        "request",
        f"{method} {path[:_LONGEST]} {status}",
        method=method,
        path=path[:_LONGEST],
        status=status,
        address=address,
        seconds=None if seconds is None else round(seconds, 6),
    )


class QuietHandler(RequestHandler):
    """A handler that tells neither its log nor its clients more than they need."""

    def set_default_headers(self) -> None:
        """Do not tell what we are made of."""
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """Do not hash answers: none is the same twice."""

    def log_exception(self, typ: object, value: object, tb: object) -> None:
        """Log an error without the request's line; what the client did wrong is no error of ours."""
        del typ, tb
        if isinstance(value, BaseException) and not isinstance(value, HTTPError | StreamClosedError):
            request = self.request
            log(
                logging.ERROR,
                "request_failed",
                f"{request.method} {request.path[:_LONGEST]} failed",
                exc=value,
            )


class NotFoundHandler(QuietHandler):
    """Every other path of a server that has nothing else to serve."""

    def prepare(self) -> None:
        """Answer that there is nothing."""
        self.set_status(404)
        self.finish()
