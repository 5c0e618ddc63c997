"""Decides who is an administrator: by a printed token, or by `server.admin_access`."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping

from compartmentd.control.requests import Refused
from compartmentd.keys.remote import RemoteKeys
from compartmentd.policy.decision import Administer
from compartmentd.sessions.hub import Hub
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import build_principal, verify

ADMIN_TOKEN_LIFETIME = 15 * 60
"""Seconds for which a token of `compartmentd admin-token` is good."""

MOST_KEPT = 16
"""Tokens that a development daemon hands on to the next one."""

_PREFIX = "cda_"
"""How printed tokens begin."""


class AdminTokens:
    """Tokens that are printed over the admin socket: random, and kept as hashes until they expire."""

    def __init__(self) -> None:
        self._ends: dict[bytes, float] = {}

    def issue(self, lifetime: float = ADMIN_TOKEN_LIFETIME) -> tuple[str, float]:
        """Return a new token, good for `lifetime` seconds, and the wall time (seconds) of its end."""
        now = time.time()
        self._ends = {name: end for name, end in self._ends.items() if end > now}
        token = _PREFIX + secrets.token_urlsafe(32)
        self._ends[_hash(token)] = end = now + lifetime
        return token, end

    def restore(self, ends: Mapping[str, float]) -> None:
        """Accept tokens of an earlier process: the end (wall time, seconds) by the SHA-256 in hexadecimal."""
        self._ends |= {bytes.fromhex(name): end for name, end in ends.items()}

    def list_longest(self) -> Mapping[str, float]:
        """Return the hashes of the tokens that are good for longest, as `restore` takes them."""
        newest = sorted(self._ends.items(), key=lambda item: item[1])[-MOST_KEPT:]
        return {name.hex(): end for name, end in newest}

    def has(self, token: str) -> bool:
        """Return whether the token is one of them and still good."""
        return self._ends.get(_hash(token), 0.0) > time.time()


def _hash(token: str) -> bytes:
    # Looked up by hash, so that the time of a look-up says nothing about the tokens that exist.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class AdminAccess:
    """Decides whether a bearer token is of an administrator, by the configuration and keys in force."""

    def __init__(self, hub: Hub, remote: RemoteKeys) -> None:
        self._hub = hub
        self._remote = remote
        self.tokens = AdminTokens()

    def authorize(self, token: str) -> Refused | None:
        """Return why a token gives no access: neither printed, nor of an entry with `use: admin`; else `None`."""
        if self.tokens.has(token):
            return None
        if token.startswith(_PREFIX):
            return Refused("the token has expired, or the daemon has been restarted since it was printed")
        snapshot = self._hub.snapshot
        now = time.time()
        verified = self._hub.refuse_revoked(verify(token, snapshot.keys, "admin", now), snapshot)
        if isinstance(verified, Rejected):
            if verified.missing is not None:
                # As for a client's token, so that the provider's new key counts at the next try.
                self._remote.request_key(verified.missing.entry, verified.missing.kid)
            return Refused(f"the token is not accepted: {verified.detail}")
        principal = build_principal(verified, snapshot.keys.entries[verified.subject.entry])
        if self._hub.decide(Administer(), snapshot, principal).allowed:
            return None
        return Refused("the token does not satisfy `server.admin_access`", known=True)
