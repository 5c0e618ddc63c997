"""The buckets of sessions and memberships: made by the limits in force, and kept by their holders when they end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from compartmentd.policy.codes import Code
from compartmentd.policy.model import Limits, RoomTemplate
from compartmentd.sessions.observed import ObservedLimits
from compartmentd.sessions.observer import SessionObserver
from compartmentd.sessions.session import Membership, Session
from compartmentd.sessions.spent import Holder, Rate, RateKey, SpentRates
from compartmentd.util.ratelimit import ObservedBucket, TokenBucket


class SessionBuckets(SessionObserver):
    """Gives sessions their buckets, and takes note of what was taken of them when they leave a room or end.

    A live session keeps the buckets that it has; what is kept of its holder counts where a bucket is made.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        find_network: Callable[[str], str],
        observed: ObservedLimits,
    ) -> None:
        """Begin with nothing kept.

        Args:
            monotonic: Returns seconds since an arbitrary moment.
            find_network: Returns the network of an address, by which sessions without a subject are counted.
            observed: Says whether rates are observed instead of enforced, and takes what they would refuse.
        """
        self.spent = SpentRates()
        self._monotonic = monotonic
        self._find_network = find_network
        self._observed = observed

    def fit_session(self, session: Session, limits: Limits) -> None:
        """Give a session the limits of its namespace; what it has taken of its rates stays taken.

        Args:
            session: The session.
            limits: The limits in force.
        """
        session.limits = limits
        session.messages = self._fit(session, ("message_rate", ""), session.messages, limits.message_rate)
        session.bytes = self._fit(session, ("byte_rate", ""), session.bytes, limits.byte_rate)
        size = find_bucket_size(limits.rooms_per_session)
        session.joins = self._fit(session, ("join_rate", ""), session.joins, limits.join_rate, burst=size)
        if session.own_joins is not None:
            now = self._monotonic()
            # A full one is as good as none; so nothing stays of templates that are gone.
            session.own_joins = {
                name: bucket for name, bucket in session.own_joins.items() if not bucket.is_full(now)
            } or None

    def fit_membership(self, session: Session, membership: Membership) -> None:
        """Give a membership the buckets of its template's own rates."""
        limits, room = membership.template.limits, membership.room.name
        if limits.own_message_rate is None and limits.own_byte_rate is None:
            membership.own_messages = membership.own_bytes = None  # as of nearly all
            return
        messages, size = membership.own_messages, membership.own_bytes
        membership.own_messages = self._fit(
            session, ("message_rate", room), messages, limits.own_message_rate
        )
        membership.own_bytes = self._fit(session, ("byte_rate", room), size, limits.own_byte_rate)

    def find_own_joins(self, session: Session, template: RoomTemplate) -> TokenBucket | None:
        """Return a session's bucket of a template's own join rate, `None` where the template has no such rate."""
        rate = template.limits.own_join_rate
        if rate is None:
            return None
        if session.own_joins is None:
            session.own_joins = {}
        known = session.own_joins.get(template.name)
        bucket = self._fit(session, ("join_rate", template.name), known, rate)
        if bucket is not None:
            session.own_joins[template.name] = bucket
        return bucket

    def _fit(
        self,
        session: Session,
        which: tuple[Rate, str],
        bucket: TokenBucket | None,
        limit: float | None,
        *,
        burst: float | None = None,
    ) -> TokenBucket | None:
        """Return the bucket for a limit, `None` where that is unlimited (`None`); an old bucket is retuned.

        `which` is the rate, and the room or template that it is one of, else an empty string.
        """
        if limit is None:
            return None
        (rate, place), now = which, self._monotonic()
        is_observing = self._observed.is_observing
        if bucket is not None and (type(bucket) is ObservedBucket) is is_observing:
            bucket.retune(limit, burst)
            return bucket
        if is_observing:
            report = partial(self._observed.note, session.namespace.name, rate, session.user)
            made: TokenBucket = ObservedBucket(limit, now, burst, report=report)
        else:
            made = TokenBucket(limit, now, burst)
        if bucket is not None:
            made.drain(now, bucket.compute_refill(now))
        elif len(self.spent):
            key = RateKey(session.namespace.name, self._find_holder(session), rate, place)
            if refill := self.spent.find_refill(key, now):
                made.drain(now, refill)
        return made

    def _find_holder(self, session: Session) -> Holder:
        return session.user or self._find_network(session.peer.handshake.address)

    # --- what ends ---------------------------------------------------------------------------------------------

    def left(self, session: Session, membership: Membership, _code: Code | None) -> None:
        """Keep what was taken of a room's own rates: leaving and joining again must not fill its buckets."""
        if membership.own_messages is None and membership.own_bytes is None:
            return
        room = membership.room.name
        self._keep(session, membership.own_messages, "message_rate", room)
        self._keep(session, membership.own_bytes, "byte_rate", room)

    def disconnected(self, session: Session, _code: Code | None) -> None:
        """Keep what a session has taken that ends, or is parked."""
        self._keep(session, session.messages, "message_rate")
        self._keep(session, session.bytes, "byte_rate")
        self._keep(session, session.joins, "join_rate")
        for template, bucket in (session.own_joins or {}).items():
            self._keep(session, bucket, "join_rate", template)

    def _keep(self, session: Session, bucket: TokenBucket | None, rate: Rate, place: str = "") -> None:
        if bucket is None:
            return
        now = self._monotonic()
        if refill := bucket.compute_refill(now):
            self.spent.keep(
                RateKey(session.namespace.name, self._find_holder(session), rate, place), now, refill
            )


def find_bucket_size(rooms: int | None) -> float:
    """Return how many joins a session may make at once: a page reload asks for all its rooms again."""
    return 100.0 if rooms is None else float(rooms)
