"""The health path on the listeners of clients (`server.health`), for load balancers that see no other port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule

from compartmentd.net.quiet_handler import QuietHandler


class HealthPathHandler(QuietHandler):
    """Answers 200 `ok`, and 503 from the drain on; tells nothing else, since anybody may ask."""

    def initialize(self, is_draining: Callable[[], bool]) -> None:
        """Take what tells whether no more clients should come."""
        self._is_draining = is_draining

    def get(self) -> None:
        """Answer."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/plain")
        if self._is_draining():
            self.set_status(503)
            self.finish()
        else:
            self.finish(b"ok")

    head = get


class _PathMatcher(Matcher):
    """Matches the path of the moment: a reload may change it."""

    def __init__(self, get_path: Callable[[], str]) -> None:
        self._get_path = get_path

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if request.path == self._get_path() else None


def make_health_route(get_path: Callable[[], str], is_draining: Callable[[], bool]) -> Rule:
    """Return the rule for Tornado that serves the health path."""
    return Rule(_PathMatcher(get_path), HealthPathHandler, {"is_draining": is_draining})
