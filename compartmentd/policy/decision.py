"""The requests to the decision core and its answers: the types of `decide`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Literal, TypeAlias, final

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
    """One step of the chain that led to a decision: a rule or check, its result, and its place in the file.

    `text` is the rule as the operator wrote it (`scope chat:write`); it never contains a claim's value. `parts` are
    the reasons that determined this one.
    """

    text: str
    truth: Truth
    span: Span | None = None
    parts: tuple[Reason, ...] = ()


@final
class Connect(msgspec.Struct, frozen=True):
    """May this principal have a session in the namespace?"""

    namespace: NamespaceName


@final
class Join(msgspec.Struct, frozen=True):
    """May this session be in the room? `by_server` marks a join by the operator's side (API, auto-join)."""

    namespace: NamespaceName
    room: RoomName
    by_server: bool = False


@final
class Publish(msgspec.Struct, frozen=True):
    """May this session send the event to the room, or (if `room` is `None`) to everyone in the namespace?"""

    namespace: NamespaceName
    room: RoomName | None
    event: str


@final
class Administer(msgspec.Struct, frozen=True):
    """May this principal use the admin API over TCP?"""


ApiUse: TypeAlias = Literal["read", "publish", "manage"]


@final
class CallApi(msgspec.Struct, frozen=True):
    """May this service use the namespace through the server API, in this way?"""

    namespace: NamespaceName
    use: ApiUse


Request: TypeAlias = Connect | Join | Publish | Administer | CallApi


RateName: TypeAlias = Literal["message_rate", "byte_rate", "join_rate"]
"""The names of the rates, as `limits` has them."""


def _return_true() -> bool:
    return True


Answers: TypeAlias = Mapping["Question", bool | None]
"""The answers to questions; `None` for one that could not be answered. A missing question has not been asked."""

NO_ANSWERS: Answers = {}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that the caller of the decision core knows; one that does not apply has a default that refuses nothing.

    Attributes:
        well_formed: Whether the request has the declared form.
        within_rate: Whether the session is within its rates.
        within_room_rate: Whether it is within the room's own rates; checked right after template and membership.
        rate: The rate that it is over, if it is over one: the reason names it.
        memberships: The rooms that the session is in.
        size: The payload's bytes as received, with attachments; `None` skips the check.
        payload_holds: Returns whether the data fits the event's schema. It is called only after all earlier checks
            have passed; an exception from it counts as not fitting.
        sessions: The number of the user's earlier sessions in the namespace.
        occupancy: The number of members of the room.
        answers: The answers to the questions of a decision that was `Pending`.
    """

    well_formed: bool = True
    within_rate: bool = True
    within_room_rate: bool = True
    rate: RateName = "message_rate"
    memberships: Collection[str] = frozenset()
    size: int | None = None
    payload_holds: Callable[[], bool] = _return_true
    sessions: int = 0
    occupancy: int = 0
    answers: Answers = NO_ANSWERS


@final
class Allow(msgspec.Struct, frozen=True, gc=False):
    """The request is allowed; for a join or publish, with the room's template and parameter values."""

    template: RoomTemplate | None = None
    values: tuple[str, ...] = ()


@final
class Deny(msgspec.Struct, frozen=True, gc=False):
    """The request is refused."""

    code: Code


class Question(msgspec.Struct, frozen=True):
    """A question that must be answered from outside before a request can be decided: a hook, a ticket, a count.

    `name` distinguishes questions of one kind within a decision.
    """

    kind: str
    name: str


@final
class Pending(msgspec.Struct, frozen=True):
    """The request cannot be decided before these questions are answered; the answers become facts."""

    questions: tuple[Question, ...]


Outcome: TypeAlias = Allow | Deny | Pending


class Decision(msgspec.Struct, frozen=True, gc=False):
    """An outcome with its reasons, outermost first.

    `valid_until` is the first wall time, in seconds, at which time alone could change the outcome; `None` if it
    never could. `observed` is the limit that would have refused, where limits are only observed, else empty.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    valid_until: float | None = None
    observed: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request may take effect."""
        return type(self.outcome) is Allow  # an `isinstance` that fails takes 100 ns with a struct

    @property
    def code(self) -> Code | None:
        """The code of a refusal; `unavailable` for a decision that is still pending (P1: not allowed)."""
        outcome = self.outcome
        if type(outcome) is Allow:
            return None
        return outcome.code if type(outcome) is Deny else Code.UNAVAILABLE

    @property
    def spans(self) -> tuple[Span, ...]:
        """The places in the configuration that decided: the innermost of each chain of reasons."""
        return tuple(dict.fromkeys(span for reason in self.reasons for span in _find_deciding_spans(reason)))


def _find_deciding_spans(reason: Reason) -> tuple[Span, ...]:
    inner = tuple(span for part in reason.parts for span in _find_deciding_spans(part))
    return inner or (() if reason.span is None else (reason.span,))
