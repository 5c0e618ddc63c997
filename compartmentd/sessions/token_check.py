"""Checks the tokens that clients bring, from the memory of verified ones if possible, and bounds those that fail.

Each check of a signature costs 50 µs and more, for forged tokens too. `server.failed_tokens` is how many failures
an address may cause; beyond it only tokens that are remembered are looked at, so its honest users stay connected.
"""

from __future__ import annotations

from collections.abc import Callable

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.model import Namespace
from compartmentd.sessions.core import Core
from compartmentd.sessions.credentials import Credential
from compartmentd.tokens.cache import TokenCache
from compartmentd.tokens.rejected import Rejected, RejectReason, reject
from compartmentd.tokens.verify import Verified
from compartmentd.util.ratelimit import KeyedBuckets

TOKEN_MEMORY = 32 << 20
"""Bytes that remembered tokens take: a signature check costs 100 µs and more, so a crowd that reconnects after a
network fault would otherwise cost seconds of CPU. This is 2 KiB for each of 16,000 connections, the default of
`server.connections`; a token takes 1 to 2 KiB, unless its provider puts hundreds of groups into it."""

NETWORKS = 10_000
"""Networks whose failed tokens are counted: those of the latest failures. They take 3 MB; whoever has more networks
than that has as many times the rate."""

_UNSEEN = Rejected(
    Code.RATE_LIMITED,
    RejectReason.TOO_MANY_FAILED,
    "too many tokens of this address have failed (`server.failed_tokens`), so it was not looked at",
)


class TokenCheck:
    """Checks tokens; `unseen` counts those that were refused without a look."""

    def __init__(self, core: Core, find_network: Callable[[str], str]) -> None:
        """Begin with nothing remembered.

        Args:
            core: Has the clocks and the revocations.
            find_network: Returns the network of an address, by which failures are counted.
        """
        self.memory = TokenCache(TOKEN_MEMORY)
        self.unseen = 0
        self._core = core
        self._find_network = find_network
        self._failures = KeyedBuckets(1.0, 1.0, NETWORKS)

    def check(
        self,
        found: Credential,
        snapshot: Snapshot,
        namespace: Namespace,
        address: str,
        user: Subject | None = None,
    ) -> Verified | Rejected | None:
        """Return the verified token, why it is not accepted, or `None` for no token.

        Args:
            found: What the client brought.
            snapshot: The current snapshot.
            namespace: The namespace that it is for.
            address: The client's address; empty for the peer of a unix socket, which is not limited.
            user: The subject of the session that it is for, if there is one.
        """
        if found.malformed:
            return reject(RejectReason.NOT_A_JWT, found.malformed)
        if found.token is None:
            return None
        core = self._core
        unseen = None
        if self._is_over(snapshot, address):
            if core.observed.is_observing:
                core.observed.note(namespace.name, "failed_tokens", user)
            else:
                unseen = _UNSEEN
        verified = core.revocations.refuse_revoked(
            self.memory.verify(
                found.token,
                snapshot.keys,
                "connect",
                core.clock.wall(),
                namespace.issuers,
                named=snapshot.named_claims,
                unseen=unseen,
            ),
            snapshot.keys,
        )
        self.unseen += verified is _UNSEEN
        return verified

    def note_failed(self, code: Code, snapshot: Snapshot, address: str) -> None:
        """Count a token that was refused for good, against its address.

        Args:
            code: The code of the refusal; that keys are missing is no fault of the client.
            snapshot: The current snapshot.
            address: The client's address.
        """
        rate = snapshot.configuration.server.failed_tokens
        if rate is not None and address and code in {Code.TOKEN_INVALID, Code.TOKEN_EXPIRED}:
            self._failures.retune(rate, rate)
            self._failures.take(self._find_network(address), self._core.clock.monotonic())

    def compute_wait(self, rejected: Rejected, address: str) -> float | None:
        """Return in how many seconds a token that was not looked at may be sent again; `None` for others."""
        if rejected is not _UNSEEN:
            return None
        return self._failures.compute_wait(self._find_network(address), self._core.clock.monotonic())

    def _is_over(self, snapshot: Snapshot, address: str) -> bool:
        rate = snapshot.configuration.server.failed_tokens
        if rate is None or not address:
            return False
        self._failures.retune(rate, rate)
        return not self._failures.holds(self._find_network(address), self._core.clock.monotonic())
