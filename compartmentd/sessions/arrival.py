"""The facts about a request: those that are established when it arrives, and those of the moment that decides."""

from __future__ import annotations

import msgspec

from compartmentd.policy.decision import RateName
from compartmentd.policy.reconcile import CurrentMembership
from compartmentd.sessions.session import Session


class Arrival(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The facts about a request that are established once, when it arrives, however often it is then decided.

    `since` is the monotonic time of the arrival in seconds; the others are facts of `policy.decision.Facts`.
    """

    since: float
    well_formed: bool = True
    within_rate: bool = True
    within_room_rate: bool = True
    rate: RateName = "message_rate"
    size: int | None = None


def accept_data() -> bool:
    """Return true: there is no schema that data would have to fit."""
    return True


def list_memberships(session: Session) -> tuple[CurrentMembership, ...]:
    """Return the session's memberships as the decision core takes them."""
    if not session.memberships:  # as of every new session; 0.25 µs less
        return ()
    return tuple(
        CurrentMembership(room=membership.room.name, by_server=membership.by_server)
        for membership in session.memberships.values()
    )
