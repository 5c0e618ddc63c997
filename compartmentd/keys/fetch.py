"""One fetch of an entry's keys: the discovery document, if one is needed, then the key set."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compartmentd.keys.http import Get
from compartmentd.keys.response import (
    FetchFailure,
    KeyRequest,
    Response,
    check_response,
    read_freshness,
    read_jwks_uri,
)
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.rejected import quote
from compartmentd.tokens.remote import build_discovery_url, check_url, show_url

TOTAL = 5.0
"""Seconds for a whole fetch: the longest that a connecting client may have to wait."""

DOCUMENT_FOR = 3600.0
"""Seconds for which a discovery document's `jwks_uri` is reused while it works."""


class FetchedKeySet(msgspec.Struct, frozen=True):
    """A key set as the provider sent it; `fresh_for` is in seconds, `None` if the provider does not say."""

    body: bytes
    fresh_for: float | None


class KeySetFetcher:
    """Fetches the key set of one entry repeatedly; remembers the URL that discovery gave.

    `requests` are those of the last fetch, in order.
    """

    def __init__(self, entry: IssuerEntry, get: Get, monotonic: Callable[[], float]) -> None:
        self._entry = entry
        self._get = get
        self._monotonic = monotonic
        self.requests: tuple[KeyRequest, ...] = ()
        self._uri: str | None = None
        self._uri_until = 0.0

    async def fetch(self) -> FetchedKeySet | FetchFailure:
        """Fetch the key set, without parsing it; takes at most `TOTAL` seconds."""
        self.requests = ()
        until = self._monotonic() + TOTAL
        uri = await self._find_uri(until)
        if isinstance(uri, FetchFailure):
            return uri
        response = await self._get_checked("the key set", uri, until)
        if isinstance(response, FetchFailure):
            self.forget()
            return response
        return FetchedKeySet(response.body, read_freshness(response.headers))

    def refuse(self, why: str) -> FetchFailure:
        """Return the failure of a fetched key set without a usable key, and read discovery again the next time."""
        self.forget()
        return FetchFailure(f"the key set at {self._name_last()}: {why}")

    def _name_last(self) -> str:
        return quote(self.requests[-1].url)

    def forget(self) -> None:
        """Read the discovery document again the next time: the keys may have moved."""
        self._uri = None

    async def _find_uri(self, until: float) -> str | FetchFailure:
        source = self._entry.sources[0]
        if source.kind == "jwks_url":
            return source.name
        if self._uri is not None and self._monotonic() < self._uri_until:
            return self._uri
        response = await self._get_checked("the discovery document", build_discovery_url(source.name), until)
        if isinstance(response, FetchFailure):
            return response
        found = read_jwks_uri(self._entry, response.body)
        if isinstance(found, FetchFailure):
            return FetchFailure(f"the discovery document at {self._name_last()} {found.why}")
        self._uri, self._uri_until = found, self._monotonic() + DOCUMENT_FOR
        return found

    async def _get_checked(self, what: str, url: str, until: float) -> Response | FetchFailure:
        refused = check_url(url, allow_http=self._entry.allow_http)
        if refused is not None:
            return FetchFailure(f"the address of {what} {refused}")
        remaining = until - self._monotonic()
        if remaining <= 0:
            return FetchFailure(f"no time is left for {what}")
        response = await self._get(url, remaining)
        answer = response.why if isinstance(response, FetchFailure) else str(response.status)
        self.requests += (KeyRequest(show_url(url), answer),)
        bad = response if isinstance(response, FetchFailure) else check_response(response)
        return (
            response if bad is None else FetchFailure(f"{what} at {self._name_last()}: its server {bad.why}")
        )
