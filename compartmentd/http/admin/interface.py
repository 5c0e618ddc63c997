"""The interfaces between the admin listeners and the daemon; `control.requests` has their values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from compartmentd.control.requests import JsonObject, Refused, RevokeRequest
from compartmentd.sessions.listing import Query
from compartmentd.telemetry.decision_feed import DecisionListener


class Administration(Protocol):
    """The operations that administrators have on the daemon."""

    @property
    def admin_hosts(self) -> Collection[str]:
        """The host names of TCP listeners, as `server.admin_hosts` lists them."""

    def find_obstacle(self) -> str | None:
        """Return why no clients should be sent here, or `None`."""

    @property
    def lacking_keys(self) -> Collection[str]:
        """The issuer entries whose keys cannot be fetched; tokens of all others are accepted all the same."""

    @property
    def on_last_good(self) -> bool:
        """Whether an earlier configuration is served, since the files on disk were refused at the start."""

    def authorize(self, token: str) -> Refused | None:
        """Return why a bearer token gives no access, or `None`; called again for as long as a stream is open."""

    def reload(self) -> Awaitable[JsonObject]:
        """Read the files again, and answer once the result is in force for every session.

        `{ok: true, changed, generation, digest, judged, evicted: {sessions, memberships}, problems}`, or
        `{ok: false, generation, digest, problems}` with nothing changed.
        """

    def build_status(self) -> JsonObject:
        """Return what is in force, and how much of it is used.

        `{version, generation, digest, started, last_reload, last_good, connections, sessions, rooms, namespaces,
        keys}`, the last with the state of each entry whose keys are fetched.
        """

    def list_sessions(self, query: Query) -> Awaitable[JsonObject]:
        """Return `{sessions: [{session, namespace, user, address, expires, parked, rooms}], next}`."""

    def list_rooms(self, query: Query) -> Awaitable[JsonObject]:
        """Return `{rooms: [{namespace, room, template, members}], next}`."""

    def issue_admin_token(self) -> JsonObject:
        """Return `{token, expires}`: a fresh token that `authorize` accepts until then (milliseconds)."""

    def revoke(self, request: RevokeRequest) -> Awaitable[JsonObject]:
        """Refuse tokens from now on; returns once their sessions have ended and the revocation is kept.

        `{ok: true, sessions, before, lasting}`: how many sessions had such a token, the time in milliseconds, and
        whether it outlasts the process. `{ok: false, error: {code, message}}` if it could not be kept.

        Raises:
            UsageError: the request names no issuer, not exactly one thing, or a time in the future.
        """

    def subscribe(self, subscriber: DecisionListener) -> Callable[[], None]:
        """Call the subscriber with every decision from now on, as it is made; return what ends that.

        The subscriber must be quick and raise nothing.
        """


class MetricsSource(Protocol):
    """The metrics of the process."""

    def as_text(self) -> bytes:
        """Return all metrics in the text format of Prometheus (version 0.0.4)."""


class Development(Protocol):
    """The resources that `serve --dev` adds: the playground's view of the configuration, and tokens on demand."""

    @property
    def public_url(self) -> str:
        """The origin of the public listener, as a browser on this machine reaches it."""

    def describe_playground(self) -> JsonObject:
        """Return the configuration in force as the page shows it (`http.admin.outline`)."""

    def mint(self, entry: str | None, claims: JsonObject) -> JsonObject:
        """Return `{token, expires}` for these claims, of the entry or the only one with a development key.

        Raises:
            UsageError: there is no such entry, or its key is not a development key.
        """

    def read_excerpt(self, file: str, line: int, end_line: int) -> Sequence[str] | None:
        """Return these lines (from 1, both included) of a configuration file; `None` for any other file."""
