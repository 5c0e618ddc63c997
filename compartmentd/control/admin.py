"""Carries out what administrators ask for: the control plane behind the admin listeners."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from compartmentd.control.admin_access import AdminAccess
from compartmentd.control.reload import Reloader
from compartmentd.control.requests import JsonObject, Refused, RevokeRequest
from compartmentd.control.revocation import Revoker
from compartmentd.control.status import DaemonStatus
from compartmentd.sessions.hub import Hub
from compartmentd.sessions.listing import (
    Query,
    list_rooms,
    list_sessions,
    room_as_json,
    session_as_json,
)
from compartmentd.telemetry.decision_feed import DecisionFeed, DecisionListener
from compartmentd.util.cooperative import run_in_slices


class AdminService:
    """Implements `http.admin.interface.Administration` on the running daemon."""

    def __init__(
        self,
        *,
        hub: Hub,
        access: AdminAccess,
        status: DaemonStatus,
        reloader: Reloader,
        revoker: Revoker,
        feed: DecisionFeed,
    ) -> None:
        self._hub = hub
        self._access = access
        self._status = status
        self._reloader = reloader
        self._revoker = revoker
        self._feed = feed

    @property
    def admin_hosts(self) -> Collection[str]:
        """The names of `server.admin_hosts`, as it is in force."""
        return self._reloader.generation.configuration.server.admin_hosts

    @property
    def lacking_keys(self) -> Collection[str]:
        """The entries whose tokens are refused because their keys cannot be had."""
        return self._status.lacking_keys

    @property
    def on_last_good(self) -> bool:
        """Whether an earlier configuration is served, since the files on disk were refused at the start."""
        return bool(self._reloader.generation.stale)

    def find_obstacle(self) -> str | None:
        """Return why no clients should be sent here, or `None`."""
        return self._status.find_obstacle()

    def authorize(self, token: str) -> Refused | None:
        """Return why a bearer token gives no access, or `None`."""
        return self._access.authorize(token)

    async def reload(self) -> JsonObject:
        """Reload, and return the report."""
        return (await self._reloader.reload("request")).as_json()

    async def revoke(self, request: RevokeRequest) -> JsonObject:
        """Revoke tokens; returns once their sessions have ended and the revocation is kept.

        Raises:
            UsageError: the request names no issuer, not exactly one thing, or a time in the future.
        """
        done = await self._revoker.revoke_by_request(request, time.time())
        if not done.kept:
            message = "the tokens are refused from now on, but a restart forgets it: the state was not saved"
            return {"ok": False, "error": {"code": "state_not_saved", "message": message}}
        return {
            "ok": True,
            "sessions": done.sessions,
            "before": int(done.before * 1000),
            "lasting": self._revoker.lasting,
        }

    def build_status(self) -> JsonObject:
        """Return what is in force, and how much of it is used."""
        return self._status.as_json()

    async def list_sessions(self, query: Query) -> JsonObject:
        """Return a page of the sessions, and where the next one begins."""
        page = await run_in_slices(list_sessions(self._hub.registry, query))
        return {"sessions": [session_as_json(session) for session in page.items], "next": page.next}

    async def list_rooms(self, query: Query) -> JsonObject:
        """Return a page of the rooms with a member, and where the next one begins."""
        page = await run_in_slices(list_rooms(self._hub.registry, query))
        return {"rooms": [room_as_json(*found) for found in page.items], "next": page.next}

    def issue_admin_token(self) -> JsonObject:
        """Return a fresh admin token and its end."""
        token, ends = self._access.tokens.issue()
        return {"token": token, "expires": int(ends * 1000)}

    def subscribe(self, subscriber: DecisionListener) -> Callable[[], None]:
        """Call the subscriber with every decision from now on; return what ends that."""
        return self._feed.subscribe(subscriber)
