"""What the admin listeners serve: the border between HTTP and the daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from compartmentd.control.requests import Record, Refused, RevokeRequest, Subscriber


class Administration(Protocol):
    """The daemon, as its administrators may use it."""

    @property
    def admin_hosts(self) -> Collection[str]:
        """Return the names under which TCP listeners may be asked, as `server.admin_hosts` lists them."""

    def unready(self) -> str | None:
        """Return why no traffic should be sent here, or `None` if all is well."""

    @property
    def lacking_keys(self) -> Collection[str]:
        """Return the issuer entries whose keys cannot be had; everyone else's tokens are served all the same."""

    @property
    def on_last_good(self) -> bool:
        """Tell whether an earlier configuration is served, since the files on disk were refused at the start."""

    def authorize(self, token: str) -> Refused | None:
        """Judge a bearer token; asked again for as long as a stream is open."""

    def reload(self) -> Awaitable[Record]:
        """Read the files again, and answer once the result is in force for every session.

        `{ok: true, changed, generation, digest, judged, evicted: {sessions, memberships}, problems}`, or
        `{ok: false, generation, digest, problems}` with nothing changed.
        """

    def status(self) -> Record:
        """Return what is in force, and how much of it there is.

        `{version, generation, digest, started, last_reload, last_good, connections, sessions, rooms, namespaces,
        keys}`, the last with the state of each entry whose keys are fetched.
        """

    def admin_token(self) -> Record:
        """Return `{token, expires}`: a fresh token that `authorize` accepts until then (milliseconds)."""

    def revoke(self, request: RevokeRequest) -> Awaitable[Record]:
        """Refuse tokens from now on, and answer once their sessions have ended and it is kept.

        `{ok: true, sessions, before, lasting}`: how many sessions had such a token, the time in milliseconds, and
        whether it outlasts the process. `{ok: false, error: {code, message}}` if it could not be kept.

        Raises:
            UsageError: there is no such issuer, or what is named is not one thing of the past.
        """

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hand every decision from now on to the subscriber, as it is made; returns what ends that.

        The subscriber is quick and raises nothing.
        """


class MetricsSource(Protocol):
    """The metrics of the process."""

    def as_text(self) -> bytes:
        """Return all metrics in the text format of Prometheus (version 0.0.4)."""


class Development(Protocol):
    """What `serve --dev` adds: the playground's view of the configuration, and tokens for the asking."""

    @property
    def public_url(self) -> str:
        """Return the origin of the public listener, as a browser on this machine reaches it."""

    def playground(self) -> Record:
        """Return what the page shows of the configuration in force (`http.admin.outline` makes it)."""

    def mint(self, entry: str | None, claims: Record) -> Record:
        """Return `{token, expires}` for these claims, of the entry or the only one with a development key.

        Raises:
            UsageError: there is no such entry, or its key is not a development key.
        """

    def excerpt(self, file: str, line: int, end_line: int) -> Sequence[str] | None:
        """Return these lines (from 1, both included) of a configuration file; `None` for any other file."""
