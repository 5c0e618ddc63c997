"""Records of decisions, for the log, the traces and the live view of the admin page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from compartmentd.names import Digest, NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Decision
from compartmentd.policy.principal import Principal
from compartmentd.policy.seen import Seen

Occasion: TypeAlias = Literal[
    "connect", "join", "publish", "leave", "event", "auto_join", "judge", "refresh", "administer", "end"
]
"""The kind of a decision: a request of that name (`event` is one that does not exist), a room at auto-join, a live
session or membership judged again, an administrator's request, and the end of a session."""


def select_claims(principal: Principal, paths: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Return the claims at these paths (`log.claims`), nested as in the token; absent ones are left out."""
    selected: dict[str, Any] = {}
    for path in paths:
        value: Any = principal.claims
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            parent = selected
            for key in path[:-1]:
                parent = parent.setdefault(key, {})
            parent[path[-1]] = value
    return selected


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with what it was about. It holds no token, and values of claims and payloads only in `seen`.

    `at` is wall time in seconds, `took` the seconds it took to decide, where that was measured; `detail` says for
    the operator what a token lacks, where one was rejected. `claims` are those that `log.claims` lists. `address`
    is the client's, of a CONNECT. `room` and `event` are as the client wrote them; of a CONNECT to a namespace that
    is not declared `event` is the name, and `namespace` is `counters.UNDECLARED`. `ref` stands in the client's
    answer and in the log; empty where the log has no line. `seen` has what the conditions of a refusal saw; it is
    empty unless the audit log `shows_values`, and goes to the live feed alone.
    """

    at: float
    generation: int
    digest: Digest
    occasion: Occasion
    namespace: NamespaceName
    session: SessionId | None = None
    subject: Subject | None = None
    claims: Mapping[str, Any] = {}
    address: str | None = None
    room: RoomName | None = None
    event: str | None = None
    code: Code | None = None
    decision: Decision | None = None
    detail: str = ""
    took: float | None = None
    ref: str = ""
    seen: tuple[Seen, ...] = ()


class AuditLog(Protocol):
    """Takes records; those that `wants` is false for are not made."""

    @property
    def shows_values(self) -> bool:
        """Whether records may hold values of claims and payloads: for the developer alone, in development mode."""

    def wants(self, code: Code | None) -> bool:
        """Return whether a decision with this code is wanted; `None` stands for one that allows."""

    def write(self, record: Record) -> str:
        """Take one record; must not block and must not fail.

        Returns a reference by which an operator finds a refusal, empty where it was not kept.
        """


class NullAuditLog:
    """Null object used where no audit log is configured: it wants no record."""

    shows_values = False

    def wants(self, code: Code | None) -> bool:
        """Want nothing."""
        del code
        return False

    def write(self, record: Record) -> str:
        """Take nothing."""
        del record
        return ""
