"""What administrators may ask the daemon: the answers behind the admin listeners."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from compartmentd import __version__
from compartmentd.control.reload import Reloader
from compartmentd.control.reload_report import Report, TakenIn
from compartmentd.control.requests import Record, Refused, RevokeRequest, Subscriber
from compartmentd.control.revocation import Revoker, by_operator
from compartmentd.keys.remote import RemoteKeys
from compartmentd.policy.decision import Administer
from compartmentd.sessions.hub import Hub
from compartmentd.sessions.reevaluate import Evictions
from compartmentd.telemetry.decision_feed import DecisionFeed
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import build_principal, verify

ADMIN_TOKEN_LIFETIME = 15 * 60
"""Seconds for which a token of `compartmentd admin-token` is good."""

_PRINTED = "cda_"
"""How those tokens begin."""


class AdminTokens:
    """Tokens printed over the socket: random, kept as hashes, good for a quarter of an hour."""

    def __init__(self) -> None:
        self._ends: dict[bytes, float] = {}

    def issue(self, lifetime: float = ADMIN_TOKEN_LIFETIME) -> tuple[str, float]:
        """Return a new token and the wall time (seconds) of its end."""
        now = time.time()
        self._ends = {name: end for name, end in self._ends.items() if end > now}
        token = _PRINTED + secrets.token_urlsafe(32)
        self._ends[_hashed(token)] = end = now + lifetime
        return token, end

    def holds(self, token: str) -> bool:
        """Tell whether the token is one of them and still good."""
        return self._ends.get(_hashed(token), 0.0) > time.time()


def _hashed(token: str) -> bytes:
    # Looked up by hash, so that the time a look-up takes tells nothing of the tokens that exist.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class DaemonAdministration:
    """Implements `http.admin.interface.Administration` on the running daemon."""

    def __init__(
        self,
        hub: Hub,
        reloader: Reloader,
        feed: DecisionFeed,
        connections: Callable[[], int],
        *,
        remote: RemoteKeys,
        revoker: Revoker,
        metrics: Callable[[], bytes],
    ) -> None:
        self._hub = hub
        self._reloader = reloader
        self._feed = feed
        self._connections = connections
        self._remote = remote
        self._revoker = revoker
        self._metrics = metrics
        self._started = datetime.now(UTC)
        self.tokens = AdminTokens()
        self.starting = True
        self.stopping = False
        self.drained_at: float | None = None

    @property
    def admin_hosts(self) -> Collection[str]:
        """Return `server.admin_hosts` as it is in force."""
        return self._hub.snapshot.configuration.server.admin_hosts

    def unready(self) -> str | None:
        """Return why no clients should be sent here: the daemon is stopping, or still waits for its first keys."""
        if self.stopping:
            return "the daemon is stopping"
        return "the keys of remote issuers are being fetched" if self.starting else None

    @property
    def lacking_keys(self) -> Collection[str]:
        """Return the entries whose tokens are refused because their keys cannot be had."""
        return self._remote.entries_without_keys

    @property
    def on_last_good(self) -> bool:
        """Tell whether an earlier configuration is served, since the files on disk were refused at the start."""
        return bool(self._reloader.stale)

    def authorize(self, token: str) -> Refused | None:
        """Judge a bearer token: one that was printed over the socket, or one of an entry with `use: admin`."""
        if self.tokens.holds(token):
            return None
        if token.startswith(_PRINTED):
            return Refused("the token has expired, or the daemon has been started anew since it was printed")
        snapshot = self._hub.snapshot
        now = time.time()
        verified = self._hub.unrevoked(verify(token, snapshot.keys, "admin", now), snapshot)
        if isinstance(verified, Rejected):
            if verified.missing is not None:
                # As for a client's token, so that the provider's new key counts when they try again.
                self._remote.request_key(verified.missing.entry, verified.missing.kid)
            return Refused(f"the token is not accepted: {verified.detail}")
        principal = build_principal(verified, snapshot.keys.entries[verified.subject.entry])
        if self._hub.decide(Administer(), snapshot, principal).allowed:
            return None
        return Refused("the token does not satisfy `server.admin_access`", known=True)

    async def reload(self) -> Record:
        """Reload and answer what came of it."""
        return report_as_json(await self._reloader.reload("request"))

    async def revoke(self, request: RevokeRequest) -> Record:
        """Revoke tokens, and answer once their sessions have ended and it is kept."""
        revocation = by_operator(self._hub.snapshot.keys, request, time.time())
        with self._hub.counting(revocation) as ended:
            kept = await self._revoker.revoke(revocation)
            sessions = ended()
        if not kept:
            message = "the tokens are refused from now on, but a restart forgets it: the state was not saved"
            return {"ok": False, "error": {"code": "state_not_saved", "message": message}}
        return {
            "ok": True,
            "sessions": sessions,
            "before": int(revocation.before * 1000),
            "lasting": self._revoker.lasting,
        }

    def status(self) -> Record:
        """Return what is in force, and how much of it there is."""
        snapshot = self._hub.snapshot
        registry = self._hub.registry
        last = self._reloader.last
        live = registry.namespaces
        return {
            "version": __version__,
            "generation": snapshot.generation,
            "digest": snapshot.digest,
            "started": int(self._started.timestamp() * 1000),
            "last_reload": None
            if last is None
            else {
                "ok": last.ok,
                "at": int(last.at * 1000),
                "problems": [problem.as_json() for problem in last.problems],
            },
            "last_good": [problem.as_json() for problem in self._reloader.stale] or None,
            "draining": None if self.drained_at is None else {"until": int(self.drained_at * 1000)},
            "tls": None
            if self._reloader.certificate is None
            else {"expires": int(self._reloader.certificate.expires_at * 1000)},
            "connections": self._connections(),
            "sessions": registry.sessions,
            "rooms": sum(len(namespace.rooms) for namespace in live.values()),
            "namespaces": {
                name: {
                    "sessions": len(live[name].sessions) if name in live else 0,
                    "rooms": len(live[name].rooms) if name in live else 0,
                }
                for name in snapshot.configuration.policy.namespaces
            },
            "keys": self._remote.status(),
        }

    def metrics(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return self._metrics()

    def admin_token(self) -> Record:
        """Return a fresh admin token."""
        token, ends = self.tokens.issue()
        return {"token": token, "expires": int(ends * 1000)}

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Hand every decision from now on to the subscriber."""
        return self._feed.subscribe(subscriber)


def report_as_json(report: Report) -> dict[str, Any]:
    """Return the answer to a reload, as the admin API documents it.

    One that found nothing new tells which reload took in what is on disk, `None` if the start did.
    """
    problems = [problem.as_json() for problem in report.problems]
    if not report.ok:
        return {
            "ok": False,
            "generation": report.generation,
            "digest": report.digest,
            "problems": problems,
        }
    return {
        "ok": True,
        "changed": report.changed,
        "generation": report.generation,
        "digest": report.digest,
        "judged": report.judged,
        "evicted": _evicted(report.evicted),
        "problems": problems,
        **({} if report.changed else {"taken_in": _taken_in(report.taken_in)}),
    }


def _evicted(evicted: Evictions) -> dict[str, int]:
    return {"sessions": evicted.sessions, "memberships": evicted.memberships}


def _taken_in(earlier: TakenIn | None) -> dict[str, Any] | None:
    if earlier is None:
        return None
    return {
        "at": int(earlier.at * 1000),
        "cause": earlier.cause,
        "generation": earlier.generation,
        "judged": earlier.judged,
        "evicted": _evicted(earlier.evicted),
    }
