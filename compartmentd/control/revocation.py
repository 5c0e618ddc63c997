"""Carries out revocations: refuses the tokens, ends their sessions, and keeps that over a restart.

They come from logouts that an identity provider reports, and from an operator's `revoke`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from compartmentd.control.requests import RevokeRequest
from compartmentd.errors import UsageError
from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.sessions.hub import Hub
from compartmentd.sessions.key_wait import KeyFinder, KeyWait
from compartmentd.sessions.revocations import Revocation, RevocationKind
from compartmentd.storage.revocations import RevocationStore, StoredRevocations
from compartmentd.telemetry.logs import log
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.logout import LogoutToken, ReplayCache, verify_logout
from compartmentd.tokens.rejected import Rejected, RejectReason, quote, reject
from compartmentd.util.cooperative import GrowingSlice, yield_to_others
from compartmentd.util.ratelimit import TokenBucket
from compartmentd.util.tasks import SingleFlight

PAUSE = 0.02
"""Seconds between two walks over the sessions, so that ten thousand logouts in a row do not cause as many walks."""

WAITING = 100
"""Logout tokens that may wait for keys at a time: anyone may name a key that does not exist."""

REPLAYS = 100_000
"""Logout tokens that are remembered at most, each for at most 15 minutes."""


class RequestedRevocation(NamedTuple):
    """A revocation that an administrator asked for, and that is in force.

    Attributes:
        sessions: how many sessions it ended.
        before: the latest time of issue that it reaches, in seconds.
        kept: whether it is written down; else a restart forgets it.
    """

    sessions: int
    before: float
    kept: bool


class _Sweeper:
    """Ends sessions whose tokens were revoked."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pause_until = 0.0

    async def sweep(self) -> None:
        """Look at every session once, a `PAUSE` after the last time at the earliest."""
        await asyncio.sleep(self._pause_until - time.monotonic())
        growing = GrowingSlice()
        while not self._hub.sweep(growing.compute()):
            growing.note_end(is_behind=True)
            await yield_to_others()
        self._pause_until = time.monotonic() + PAUSE


class _Saver:
    """Writes down what was revoked, if there is a state directory."""

    def __init__(self, hub: Hub, state: RevocationStore | None) -> None:
        self._hub = hub
        self._state = state

    async def save(self) -> bool:
        """Write down all revocations; return whether that is done, or there is nowhere to write."""
        if self._state is None:
            return True
        revocations = self._hub.revocations
        kept = StoredRevocations(revocations.max_age, revocations.list_all())
        try:
            await asyncio.to_thread(self._state.save, kept)
        except OSError as error:
            log(
                logging.ERROR,
                "state_not_saved",
                "revocations are in force, and could not be written to the state directory",
                error=error.strerror or type(error).__name__,
            )
            return False
        return True


class Revoker:
    """Carries out revocations; `lasting` tells whether they outlast the process."""

    def __init__(self, hub: Hub, state: RevocationStore | None) -> None:
        self._hub = hub
        self.lasting = state is not None
        # Each on its own: sessions end in time also while the disk is slow.
        self._sweeper, self._saver = _Sweeper(hub), _Saver(hub, state)
        self._endings: SingleFlight[None, None] = SingleFlight()
        self._savings: SingleFlight[None, bool] = SingleFlight()

    async def revoke(self, *revocations: Revocation) -> bool:
        """Carry out revocations; returns when every session of theirs has ended and they are kept.

        Returns:
            Whether they could be written down; else they are in force, and a restart forgets them.
        """
        self._hub.revoke(*revocations)
        _, kept = await asyncio.gather(
            self._endings.run(None, self._sweeper.sweep), self._savings.run(None, self._saver.save)
        )
        return kept

    async def revoke_by_request(self, request: RevokeRequest, now: float) -> RequestedRevocation:
        """Revoke what an administrator names, at this wall time (seconds); returns like `revoke`.

        Raises:
            UsageError: there is no such issuer, not exactly one thing is named, or it reaches into the future.
        """
        revocation = build_revocation(self._hub.snapshot.keys, request, now)
        with self._hub.count_ended(revocation) as count:
            kept = await self.revoke(revocation)
            return RequestedRevocation(count(), revocation.before, kept)

    async def close(self) -> None:
        """Finish what was asked for."""
        await self._endings.wait()
        await self._savings.wait()


class Logouts:
    """Takes logout tokens, behind `/backchannel-logout`."""

    def __init__(self, hub: Hub, revoker: Revoker, keys: KeyFinder | None = None) -> None:
        self._hub = hub
        self._revoker = revoker
        self._key_wait = KeyWait(keys)
        self._waiting = 0
        self._replays = ReplayCache(REPLAYS)
        # A few lines are enough: a flood of requests from strangers must not become a flood of log lines.
        self._lines = TokenBucket(1.0, time.monotonic(), 10.0)
        self._untold = 0

    @property
    def wanted(self) -> bool:
        """Whether any entry takes logouts."""
        return any(entry.logout is not None for entry in self._hub.snapshot.configuration.issuers)

    async def log_out(self, token: str) -> bool:
        """Carry out a logout; return whether it was accepted, done and kept. If not, the log says why."""
        verified = await self._verify(token)
        now = time.time()
        if isinstance(verified, LogoutToken) and not self._replays.register(verified, now):
            verified = reject(RejectReason.REPLAYED, "this logout token has come before")
        if isinstance(verified, Rejected):
            self._log_refusal(verified)
            return False
        kept = await self._revoker.revoke(*self._build_revocations(verified, now))
        if not kept:
            self._replays.forget(verified)
            return False
        log(
            logging.INFO,
            "logged_out",
            "the identity provider reported a logout",
            entry=verified.entry,
            of="subject" if verified.sid is None else "session",
        )
        return True

    async def _verify(self, token: str) -> LogoutToken | Rejected:
        """Verify the token; one whose key is being fetched waits for it, since few providers ask twice."""
        verified = verify_logout(token, self._hub.snapshot.keys, time.time())
        if not isinstance(verified, Rejected) or self._waiting >= WAITING:
            return verified
        answered = asyncio.Event()
        if not self._key_wait.start_waiting(verified, answered.set):
            return verified
        self._waiting += 1
        try:
            await answered.wait()
        finally:
            self._waiting -= 1
        return verify_logout(token, self._hub.snapshot.keys, time.time())

    def _log_refusal(self, rejected: Rejected) -> None:
        if not self._lines.take(time.monotonic()):
            self._untold += 1
            return
        log(
            logging.WARNING,
            "logout_refused",
            f"a logout token is not accepted: {rejected.detail}",
            reason=rejected.reason.value,
            untold=self._untold,
        )
        self._untold = 0

    def _build_revocations(self, token: LogoutToken, now: float) -> tuple[Revocation, ...]:
        """Return what a logout token revokes (OpenID Connect Back-Channel Logout 1.0, 2.7).

        All tokens of its session, whenever they were issued: it gets no new ones, and the clocks of a provider's
        nodes may differ. Of its subject those up to the logout by the provider's own clock, so that a new login
        right after it counts; where a session is named, only those that name none.
        """
        found = []
        if token.sid is not None:
            leeway = self._hub.snapshot.keys.entries[token.entry].leeway
            before = max(now, token.issued_at) + leeway
            found.append(_build_logout(token, "sid", token.sid, before, now))
        if token.sub is not None:
            kind: RevocationKind = "sub" if token.sid is None else "sub_without_sid"
            found.append(_build_logout(token, kind, token.sub, token.issued_at, now))
        return tuple(found)


SECONDS_BELOW = 1e11
"""A time below this number is in seconds, as `iat` is, else in milliseconds: in either it is after 1973."""

LONGEST_VALUE = 512
"""Characters of a value that names tokens: no token's subject is longer."""


def build_revocation(keys: KeySet, request: RevokeRequest, now: float) -> Revocation:
    """Return the revocation that an administrator asks for, at this wall time (seconds).

    By default it reaches what was issued until now. For a session or a single token some leeway is added: nothing
    of them is issued later, and the provider's clock may be ahead.

    Raises:
        UsageError: there is no such issuer, not exactly one thing is named, or it reaches into the future.
    """
    entry = keys.find_entry(EntryName(request.issuer)) or keys.find_by_issuer(request.issuer)
    if entry is None:
        raise UsageError(f"there is no issuer entry {quote(request.issuer)}, and none for such an `issuer`")
    named: dict[RevocationKind, str | None] = {"sub": request.sub, "sid": request.sid, "jti": request.jti}
    given = [(kind, value) for kind, value in named.items() if value is not None]
    if len(given) != 1:
        raise UsageError("name the tokens by exactly one of `sub`, `sid` and `jti`")
    [(kind, value)] = given
    if not 0 < len(value) <= LONGEST_VALUE:
        raise UsageError(f"`{kind}` must have 1 to {LONGEST_VALUE} characters")
    before = request.before
    if before is None:
        before = now if kind == "sub" else now + entry.leeway
    elif before >= SECONDS_BELOW:
        before /= 1000
    if not 0 <= before <= now + entry.leeway:
        raise UsageError("`before` must be a time of the past: what is issued later is not known yet")
    return Revocation(issuer=entry.issuer, kind=kind, value=value, before=before, code=Code.REVOKED, at=now)


def _build_logout(
    token: LogoutToken, kind: RevocationKind, value: str, before: float, now: float
) -> Revocation:
    return Revocation(
        issuer=token.issuer, kind=kind, value=value, before=before, code=Code.LOGGED_OUT, at=now
    )
