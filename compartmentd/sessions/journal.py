"""What was decided, for whoever wants to read along: the admin page now, logs and metrics with later work."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from compartmentd.names import Digest, NamespaceName, RoomName, SessionId, Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Decision

Occasion: TypeAlias = Literal["connect", "join", "publish", "auto_join", "judge", "refresh", "end"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with what it was about. It holds no claim, no payload and no token.

    `at` is wall time in seconds; `detail` says for the operator what a token lacks, where one was rejected.
    """

    at: float
    generation: int
    digest: Digest
    occasion: Occasion
    namespace: NamespaceName
    session: SessionId | None = None
    subject: Subject | None = None
    room: RoomName | None = None
    event: str | None = None
    code: Code | None = None
    decision: Decision | None = None
    detail: str = ""


class Journal(Protocol):
    """Takes records; `wanted` is false while nobody reads, and then none are made."""

    @property
    def wanted(self) -> bool:
        """Whether anybody reads along."""

    def decided(self, record: Record) -> None:
        """Take one record; must not block and must not fail."""


class NoJournal:
    """A journal that nobody reads."""

    wanted = False

    def decided(self, record: Record) -> None:
        """Take nothing."""
