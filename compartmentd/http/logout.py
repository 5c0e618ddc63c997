"""`/backchannel-logout`: where identity providers report logouts (OpenID Connect Back-Channel Logout 1.0, 2.5-2.8).

It is open to everyone, since the logout token is the proof. A stranger learns nothing from it: every refused
request gets the same answer, and an accepted one gets the same whether the user had a session or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import parse_qsl

from tornado.http1connection import HTTP1Connection
from tornado.web import stream_request_body

from compartmentd.net.addresses import find_network
from compartmentd.net.quiet_handler import QuietHandler
from compartmentd.transport.requests import find_client_address
from compartmentd.util.ratelimit import KeyedBuckets

PATH = "/backchannel-logout"

BODY_BYTES = 8 * 1024
"""The longest body; real ones stay under 2 KiB."""

FIELDS = 20
"""Form fields at most; the specification has one, and says to ignore others."""

FAILURES, BURST = 20.0, 100.0
"""The rate per second, and the burst, of refused requests from one address; beyond them its tokens are not checked.
Checking a signature takes some 130 µs of CPU, so strangers get 3 ms of it a second. Accepted requests are not
counted."""

ADDRESSES = 1000
"""The number of addresses whose refused requests are counted: the latest ones."""

_REFUSED = b'{"error":"invalid_request","error_description":"the logout request is not accepted"}'
_TOO_MANY = b'{"error":"temporarily_unavailable","error_description":"too many refused requests"}'


class LogoutReceiver(Protocol):
    """Takes the logouts that arrive."""

    @property
    def wanted(self) -> bool:
        """Whether logouts are taken at all; otherwise the path does not exist."""

    async def log_out(self, token: str) -> bool:
        """Carry out a logout; return whether it was accepted and is done."""


class Failures:
    """Refused requests by address; those of one IPv6 network are one (`find_network`)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets = KeyedBuckets(FAILURES, BURST, ADDRESSES)

    def has_too_many(self, address: str) -> bool:
        """Return whether the tokens of this address are not looked at for now."""
        return not self._buckets.holds(find_network(address), self._now())

    def count(self, address: str) -> None:
        """Count a refused request."""
        self._buckets.take(find_network(address), self._now())


@stream_request_body
class BackchannelLogoutHandler(QuietHandler):
    """Takes the POST of a form with one `logout_token`: 200 once the sessions of the token have ended, else 400."""

    def initialize(self, receiver: LogoutReceiver, failures: Failures) -> None:
        """Take the arguments of the route."""
        self._receiver = receiver
        self._failures = failures
        self._body = bytearray()

    @property
    def _address(self) -> str:
        return find_client_address(cast(HTTP1Connection, self.request.connection).context)

    def prepare(self) -> None:
        """Refuse by the head of the request, where that suffices."""
        self.set_header("Cache-Control", "no-store")
        # True of every refusal before the end of the body: Tornado closes then.
        self.set_header("Connection", "close")
        if not self._receiver.wanted:
            self._answer(404)
        elif self.request.method != "POST":
            self.set_header("Allow", "POST")
            self._answer(405)
        elif self._read_content_length() > BODY_BYTES:
            self._refuse(413)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, up to the limit."""
        if self._finished:
            return
        self._body += chunk
        if len(self._body) > BODY_BYTES:
            self._refuse(413)

    async def post(self) -> None:
        """Take the logout."""
        if self._finished:
            return
        self.clear_header("Connection")  # the request was read to its end, and the next one may come
        # Here and not by the head: an answer before the end of the body would cost the connection.
        if self._failures.has_too_many(self._address):
            self.set_header("Retry-After", "1")
            self._answer(429, _TOO_MANY)
            return
        token = self._read_token()
        if token is not None and await self._receiver.log_out(token):
            self._answer(200)
        else:
            self._refuse(400)

    def _read_token(self) -> str | None:
        """Return the one `logout_token` of the form."""
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return None
        try:
            form = parse_qsl(self._body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS)
        except ValueError:
            return None
        tokens = [value for name, value in form if name == "logout_token"]
        return tokens[0] if len(tokens) == 1 else None

    def _read_content_length(self) -> int:
        """Return the announced length; Tornado refuses any that is not a number."""
        text = self.request.headers.get("Content-Length", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    def _refuse(self, status: int) -> None:
        self._failures.count(self._address)
        self._answer(status, _REFUSED)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.set_status(status)
        if body:
            self.set_header("Content-Type", "application/json")
        self.finish(body)


def make_backchannel_route(
    receiver: LogoutReceiver,
) -> tuple[str, type[BackchannelLogoutHandler], dict[str, object]]:
    """Return the route for Tornado that serves a receiver, at exactly this path."""
    return (PATH, BackchannelLogoutHandler, {"receiver": receiver, "failures": Failures()})
