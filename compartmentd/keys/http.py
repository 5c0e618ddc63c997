"""The edge: one GET request, bounded in time and size, by Tornado's client.

No redirects, cookies, credentials, compression or proxies: only a URL that the operator or the operator's provider
named is requested.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPInputError
from tornado.iostream import StreamBufferFullError, UnsatisfiableReadError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError

from compartmentd.keys.response import MOST_BYTES, FetchFailure, Response

CONNECT = 3.0
"""Seconds for name resolution, connection and TLS."""

_MOST_AT_ONCE = 1000
"""Concurrent fetches. Tornado's default is ten, so ten dead providers would block the live ones."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "compartmentd"}

_NO_ANSWER = (
    HTTPClientError,
    HTTPInputError,
    OSError,
    UnsatisfiableReadError,
    StreamBufferFullError,
    ValueError,
)
"""All exceptions that Tornado raises for failures of the network or a peer."""

Get: TypeAlias = Callable[[str, float], Awaitable[Response | FetchFailure]]
"""Requests a URL, for at most so many seconds; raises nothing that the network or a peer can cause."""


class HttpClient:
    """Requests URLs; for one running loop."""

    def __init__(self) -> None:
        self._client: AsyncHTTPClient | None = None
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str, seconds: float) -> Response | FetchFailure:
        """Return the response of a URL, whatever its status, or why there is none.

        Args:
            url: The URL.
            seconds: The time for the whole request.
        """
        if self._client is None:
            self._client = AsyncHTTPClient(
                force_instance=True, max_clients=_MOST_AT_ONCE, max_body_size=MOST_BYTES
            )
        request = HTTPRequest(
            url,
            headers=_HEADERS,
            connect_timeout=min(CONNECT, seconds),
            request_timeout=seconds,
            follow_redirects=False,
            decompress_response=False,
            ssl_options=await self._get_tls_context() if urlsplit(url).scheme == "https" else None,
        )
        try:
            response = await self._client.fetch(request, raise_error=False)
        except _NO_ANSWER as error:
            return FetchFailure(_describe_error(error))
        return Response(response.code, response.headers, response.body)

    async def _get_tls_context(self) -> ssl.SSLContext:
        # Loading the system's certificates takes 20 to 80 ms, so it is done once, in a thread.
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls

    def close(self) -> None:
        """Release the client's connections."""
        if self._client is not None:
            self._client.close()


def _describe_error(error: Exception) -> str:
    match error:
        case HTTPTimeoutError():
            return "does not answer in time"
        case HTTPStreamClosedError():
            # Tornado itself closes the connection, without another error, if a response is too large.
            return f"breaks off its answer, or sends more than {MOST_BYTES >> 10} KiB"
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "does not speak TLS correctly"
        case OSError():
            return f"cannot be reached: {(error.strerror or 'unknown error').lower()}"
        case _:
            return "does not speak HTTP correctly"
