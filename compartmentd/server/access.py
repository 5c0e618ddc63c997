"""What the server logs about requests: never a query string, since it holds sids and may hold tokens."""

from __future__ import annotations

import logging

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

access_log = logging.getLogger("compartmentd.access")
log = logging.getLogger(__name__)


def log_request(handler: RequestHandler) -> None:
    """Write one line for a finished request; Tornado's own prints the whole address."""
    request = handler.request
    access_log.debug(
        "%d %s %s %.2fms",
        handler.get_status(),
        request.method,
        request.path,
        1000.0 * request.request_time(),
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
        if isinstance(value, HTTPError | StreamClosedError):
            log.debug("%s %s: %s", self.request.method, self.request.path, type(value).__name__)
            return
        error = value if isinstance(value, BaseException) else None
        log.error("%s %s failed", self.request.method, self.request.path, exc_info=error)


class NotFoundHandler(QuietHandler):
    """Every other path of a server that has nothing else to serve."""

    def prepare(self) -> None:
        """Answer that there is nothing."""
        self.set_status(404)
        self.finish()
