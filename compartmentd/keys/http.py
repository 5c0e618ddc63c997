"""The edge: one GET request, bounded in time and size, by aiohttp's client.

No redirects, cookies, credentials or compression: only a URL that the operator or the operator's provider named is
requested, through the proxy that `HTTPS_PROXY` names, if it names one.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp

from compartmentd.keys.response import MOST_BYTES, FetchFailure, Response
from compartmentd.tokens.remote import is_loopback_host

CONNECT = 3.0
"""Seconds for name resolution, connection and TLS."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "compartmentd"}

Get: TypeAlias = Callable[[str, float], Awaitable[Response | FetchFailure]]
"""Requests a URL, for at most so many seconds; raises nothing that the network or a peer can cause."""


class HttpClient:
    """Requests URLs; for one running loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._tls: dict[str | None, tuple[object, ssl.SSLContext]] = {}

    async def get(self, url: str, seconds: float, *, ca_file: str | None = None) -> Response | FetchFailure:
        """Return the response of a URL, whatever its status, or why there is none.

        Args:
            url: The URL.
            seconds: The time for the whole request.
            ca_file: The PEM file of the authorities that are trusted; `None` for those of the system, or of
                `SSL_CERT_FILE`.
        """
        proxy = find_proxy(url)
        if isinstance(proxy, FetchFailure):
            return proxy
        try:
            async with asyncio.timeout(seconds):
                return await self._request(url, proxy, seconds, ca_file)
        except _AuthoritiesUnusable as error:
            return FetchFailure(f"{error}")
        except (aiohttp.ClientError, OSError, ValueError, EOFError) as error:
            return FetchFailure(_describe_error(error))

    async def _request(
        self, url: str, proxy: str | None, seconds: float, ca_file: str | None
    ) -> Response | FetchFailure:
        tls = await self._get_tls_context(ca_file) if urlsplit(url).scheme == "https" else True
        async with self._get_session().get(
            url,
            proxy=proxy,
            ssl=tls,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=min(CONNECT, seconds)),
        ) as response:
            body = await _read_bounded(response)
            if body is None:
                return FetchFailure(f"sends more than {MOST_BYTES >> 10} KiB")
            return Response(response.status, response.headers, body)

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Without a limit, since dead providers would block the live ones. Each request has a connection
                # of its own: providers are asked every few minutes.
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=True, use_dns_cache=False, resolver=aiohttp.ThreadedResolver()
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,
                # Else credentials would be taken from ~/.netrc.
                trust_env=False,
            )
        return self._session

    async def _get_tls_context(self, ca_file: str | None) -> ssl.SSLContext:
        # Loading the system's certificates takes 20 to 80 ms, so it is done once, in a thread. A file of the
        # operator's own is read again once it has changed.
        version = None if ca_file is None else await asyncio.to_thread(_identify_version, ca_file)
        known = self._tls.get(ca_file)
        if known is None or known[0] != version:
            known = self._tls[ca_file] = version, await asyncio.to_thread(_build_tls_context, ca_file)
        return known[1]

    async def close(self) -> None:
        """Release the client's connections."""
        if self._session is not None:
            await self._session.close()


class _AuthoritiesUnusable(Exception):
    """`ca_file` cannot be read, or holds no certificate."""


def _identify_version(path: str) -> object:
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise _AuthoritiesUnusable(_describe_authorities(error)) from error
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _build_tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an `SSLError` too
        raise _AuthoritiesUnusable(_describe_authorities(error)) from error


def _describe_authorities(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "is not asked, since `ca_file` holds no PEM certificate"
    return f"is not asked, since `ca_file` cannot be read: {(error.strerror or 'unknown error').lower()}"


def find_proxy(url: str) -> str | FetchFailure | None:
    """Return the proxy for a URL, by `HTTPS_PROXY` and `NO_PROXY` (also in lower case), or `None`.

    Keys that come over plain HTTP come directly: a proxy could replace them. So do those of this machine.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies_environment().get("https", "")
    if parts.scheme != "https" or not proxy or is_loopback_host(host):
        return None
    authority = host if parts.port is None else f"{host}:{parts.port}"
    if proxy_bypass(authority):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"  # as curl reads it
    try:
        found = urlsplit(proxy)
        usable = found.scheme == "http" and bool(found.hostname) and found.port != 0
    except ValueError:
        usable = False
    return proxy if usable else FetchFailure("is not asked: `HTTPS_PROXY` is no `http://HOST:PORT`")


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or `None` where it is larger than is read."""
    if (response.content_length or 0) > MOST_BYTES:
        return None
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _describe_error(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "does not answer in time"
        case aiohttp.ClientProxyConnectionError():
            return f"is behind a proxy (`HTTPS_PROXY`) that cannot be reached: {_describe_os_error(error.os_error)}"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"is behind a proxy (`HTTPS_PROXY`) that answers {status}"
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as inner
        ):
            return f"has a certificate that is not trusted: {inner.verify_message}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "does not speak TLS correctly"
        case aiohttp.ClientConnectorError():
            return f"cannot be reached: {_describe_os_error(error.os_error)}"
        case (
            aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError() | EOFError()
        ):
            return "breaks off its answer"
        case OSError():
            return f"cannot be reached: {_describe_os_error(error)}"
        case _:
            return "does not speak HTTP correctly"


def _describe_os_error(error: OSError) -> str:
    # asyncio puts an address and several errors into the text of its own errors; the system's text has neither.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or "unknown error").lower()
