"""What is asked of the decision core, and what it answers: the vocabulary of `decide`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Literal, TypeAlias

import msgspec

from compartmentd.names import NamespaceName, RoomName
from compartmentd.policy.codes import Code
from compartmentd.policy.model import RoomTemplate
from compartmentd.problems import Span


class Truth(Enum):
    """The three values of a rule; only `TRUE` allows."""

    FALSE = "false"
    UNKNOWN = "unknown"
    TRUE = "true"


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One step of the chain that led to a decision: a rule or check, what it came to, and where it stands.

    `text` names the rule as the operator wrote it (`scope chat:write`) and never a claim's value; `parts` are
    the reasons below it that determined it.
    """

    text: str
    truth: Truth
    span: Span | None = None
    parts: tuple[Reason, ...] = ()


class Connect(msgspec.Struct, frozen=True):
    """May this principal have a session in the namespace?"""

    namespace: NamespaceName


class Join(msgspec.Struct, frozen=True):
    """May this session be in the room? `by_server`: the operator's side makes the join (API, auto-join)."""

    namespace: NamespaceName
    room: RoomName
    by_server: bool = False


class Publish(msgspec.Struct, frozen=True):
    """May this session send the event to the room, or (room `None`) to everyone in the namespace?"""

    namespace: NamespaceName
    room: RoomName | None
    event: str


class Administer(msgspec.Struct, frozen=True):
    """May this principal use the admin API over TCP?"""


ApiUse: TypeAlias = Literal["read", "publish", "manage"]


class CallApi(msgspec.Struct, frozen=True):
    """May this service use the namespace through the server API, in this way?"""

    namespace: NamespaceName
    use: ApiUse


Request: TypeAlias = Connect | Join | Publish | Administer | CallApi


def _always() -> bool:
    return True


Answers: TypeAlias = Mapping["Question", bool | None]
"""The answers to questions; `None` for one that was asked in vain. What is missing has not been asked."""

NO_ANSWERS: Answers = {}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the core cannot know by itself; each has the value that refuses nothing where it does not apply.

    `size` is the payload's bytes as received, with attachments; `None` skips the check. `payload_holds` tells
    whether the data fits the event's schema; it is called only where all earlier checks passed, and an
    exception from it counts as not fitting. `within_room_rate` is of the room's own rates, which are checked
    right after template and membership. `occupancy` counts the members of the asked room; `sessions` counts
    the user's sessions in the namespace before this one. `answers` are those to the questions of a decision that
    was `Pending`.
    """

    well_formed: bool = True
    within_rate: bool = True
    within_room_rate: bool = True
    memberships: Collection[str] = frozenset()
    size: int | None = None
    payload_holds: Callable[[], bool] = _always
    sessions: int = 0
    occupancy: int = 0
    answers: Answers = NO_ANSWERS


class Allow(msgspec.Struct, frozen=True, gc=False):
    """The request is allowed; `template` and `values` say which room template, for a join or publish."""

    template: RoomTemplate | None = None
    values: tuple[str, ...] = ()


class Deny(msgspec.Struct, frozen=True, gc=False):
    """The request is refused."""

    code: Code


class Question(msgspec.Struct, frozen=True):
    """A question that has to be answered from outside before a request can be decided: a hook, a ticket, a count.

    `name` tells one question of its kind from the others of the same decision.
    """

    kind: str
    name: str


class Pending(msgspec.Struct, frozen=True):
    """The request cannot be decided before these are answered; the answers come back as facts."""

    questions: tuple[Question, ...]


Outcome: TypeAlias = Allow | Deny | Pending


class Decision(msgspec.Struct, frozen=True, gc=False):
    """An outcome with the chain of reasons, outermost first.

    `valid_until` is the first moment (wall time, seconds) at which time alone could change the outcome, or
    `None` where none could.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    valid_until: float | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request may take effect."""
        return isinstance(self.outcome, Allow)

    @property
    def code(self) -> Code | None:
        """The code of a refusal; `unavailable` for a decision that is still pending (P1: not allowed)."""
        if isinstance(self.outcome, Deny):
            return self.outcome.code
        return Code.UNAVAILABLE if isinstance(self.outcome, Pending) else None

    @property
    def spans(self) -> tuple[Span, ...]:
        """The places in the configuration that decided: of each chain of reasons the innermost."""
        return tuple(dict.fromkeys(span for reason in self.reasons for span in _deciding(reason)))


def _deciding(reason: Reason) -> tuple[Span, ...]:
    inner = tuple(span for part in reason.parts for span in _deciding(part))
    return inner or (() if reason.span is None else (reason.span,))
