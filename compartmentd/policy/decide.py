"""The one decision function: policy, principal, request, facts and time in; a decision with its reasons out.

The checks run in this order, and the first that fails gives the code:

    token of this namespace, not expired · shape of the request · rate · template · membership
    the room's own rate · event · size · rule · payload schema · too_many · room_full

It is total: whatever it is given, it returns a decision, and what it cannot decide it refuses. Where a rule needs
answers from outside, and they can matter, the decision is `Pending` with the questions: the caller gets the answers
and decides again, with them among the facts. A question that was asked in vain makes it `unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.policy.decision import (
    Administer,
    Allow,
    CallApi,
    Connect,
    Decision,
    Deny,
    Facts,
    Join,
    Outcome,
    Pending,
    Publish,
    Reason,
    Request,
    Truth,
)
from compartmentd.policy.model import ByServer, Event, Limits, Namespace, Nobody, RoomTemplate, Rule
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.combinators import combine_all
from compartmentd.policy.rules.context import EvaluationContext, Verdict
from compartmentd.policy.rules.traverse import resolve_rule
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates.cache import Room
from compartmentd.problems import Span

_UNDECIDED = Decision(Deny(Code.RULE_DENIED), (Reason("the request could not be decided", Truth.UNKNOWN),))


def decide(rules: Ruleset, who: Principal, request: Request, facts: Facts, now: float) -> Decision:
    """Decide a request at the time `now` (wall time, seconds); never raises.

    A namespace that is not declared is refused like a rule that does not hold.
    """
    try:
        return _Case(
            rules, EvaluationContext(rules.compiled_rules, who, now, answers=facts.answers), facts
        ).decide(request)
    except Exception:  # noqa: BLE001 - an error while deciding is a refusal, whatever it was
        return _UNDECIDED


class _Case(msgspec.Struct, gc=False):
    """One request with all that is needed to decide it; each check returns a refusal, or `None` to go on."""

    rules: Ruleset
    context: EvaluationContext
    facts: Facts
    allow: Allow = Allow()
    """What is answered where nothing refuses."""

    def decide(self, request: Request) -> Decision:
        if isinstance(request, Administer):
            return self._administer()
        namespace = self.rules.policy.namespaces.get(request.namespace)
        if namespace is None:
            return Decision(Deny(Code.RULE_DENIED), (Reason("no such namespace", Truth.FALSE),))
        if isinstance(request, CallApi):
            return self._call_api(namespace, request)
        refused = self._barred(namespace)
        if refused is not None:
            return refused
        if isinstance(request, Join):
            return self._join(namespace, request)
        if isinstance(request, Publish):
            return self._publish(namespace, request)
        if isinstance(request, Connect):
            return self._connect(namespace)
        return _UNDECIDED

    # --- the requests ---

    def _administer(self) -> Decision:
        rule = self.rules.policy.admin_access
        return self.expired("admin_access", rule.span) or self.ruled("admin_access", rule, rule.span)

    def _call_api(self, namespace: Namespace, request: CallApi) -> Decision:
        """Decide for a service; its token's entry has `use: api`, and need not be one that may connect."""
        place = f"api {request.use} of {namespace.name}"
        rule = {"read": namespace.api.read, "publish": namespace.api.publish, "manage": namespace.api.manage}
        return self.expired(place, namespace.span) or self.ruled(place, rule[request.use], namespace.span)

    def _connect(self, namespace: Namespace) -> Decision:
        allowed = self.ruled(f"connect to {namespace.name}", namespace.connect, namespace.span)
        most = namespace.limits.sessions_per_user
        # A session without a token has no user to count by; it is bounded by address.
        if (
            allowed.allowed
            and most is not None
            and self.context.who.subject is not None
            and self.facts.sessions >= most
        ):
            return self._instead(allowed, Code.TOO_MANY, f"sessions_per_user {most}", namespace.span)
        return allowed

    def _join(self, namespace: Namespace, request: Join) -> Decision:
        room = self.rules.rooms.find(namespace.name, request.room)
        if room is None:
            return self._unknown_room(namespace)
        self._enter(room, request.room)
        context, facts, template = self.context, self.facts, room.match.template
        context.by_server = request.by_server
        if not facts.within_room_rate:
            return self._over_room_rate(template)
        verdict = context.rules.get_compiled(template.join).evaluate(context)
        decision = self._ruled(verdict, room.get_reasons(verdict), [(template.join, verdict)])
        if not decision.allowed or request.room in facts.memberships:
            return decision  # who is in the room already takes no place
        return self._place_left(namespace, template, decision)

    def _place_left(self, namespace: Namespace, template: RoomTemplate, allowed: Decision) -> Decision:
        most = namespace.limits.rooms_per_session
        if most is not None and len(self.facts.memberships) >= most:
            return self._instead(allowed, Code.TOO_MANY, f"rooms_per_session {most}", namespace.span)
        if template.capacity is not None and self.facts.occupancy >= template.capacity:
            return self._instead(allowed, Code.ROOM_FULL, f"capacity {template.capacity}", template.span)
        return allowed

    def _publish(self, namespace: Namespace, request: Publish) -> Decision:
        if request.room is None:
            place = f"publish to namespace {namespace.name}"
            return self._message(place, request.event, namespace)
        room = self.rules.rooms.find(namespace.name, request.room)
        if room is None:
            return self._unknown_room(namespace)
        self._enter(room, request.room)
        template = room.match.template
        if request.room not in self.facts.memberships:
            return self._refused(Code.NOT_A_MEMBER, "this session is not in the room", template.span)
        if not self.facts.within_room_rate:
            return self._over_room_rate(template)
        return self._message(f"publish to room {template.name}", request.event, template)

    def _message(self, place: str, name: str, at: Namespace | RoomTemplate) -> Decision:
        event = at.events.get(name)
        if event is None:
            return self._refused(Code.UNKNOWN_EVENT, "the event is not declared here", at.span)
        too_large = self._too_large(at.limits, event)
        if too_large is not None:
            return too_large
        decision = self.ruled(place, at.publish, at.span, event.publish)
        if decision.allowed and not self._payload_holds():
            return self._instead(decision, Code.INVALID_PAYLOAD, f"schema of event {event.name}", event.span)
        return decision

    # --- the checks ---

    def _barred(self, namespace: Namespace) -> Decision | None:
        """Make the checks that are the same for every request: of the token, the request's shape, and the rate."""
        who, facts = self.context.who, self.facts
        if who.subject is not None and who.subject.entry not in namespace.issuers:
            text = f"tokens of {who.subject.entry} are not accepted in {namespace.name}"
            return self._refused(Code.TOKEN_INVALID, text, namespace.span)
        if who.ends_at is not None and not self.context.now < who.ends_at:
            return self.expired(f"namespace {namespace.name}", namespace.span)
        if not facts.well_formed:
            text = "the request does not have the declared form"
            return self._refused(Code.INVALID_PAYLOAD, text, namespace.span)
        if not facts.within_rate:
            return self._refused(Code.RATE_LIMITED, "the session is over its rate", namespace.span)
        return None

    def expired(self, place: str, span: Span) -> Decision | None:
        """Refuse who has a token that has ended; `exp` is exact (RFC 7519, 4.1.4)."""
        ends_at = self.context.who.ends_at
        if ends_at is None or self.context.now < ends_at:
            return None
        reason = Reason(place, Truth.FALSE, span, (Reason("the token has expired", Truth.FALSE),))
        return Decision(Deny(Code.TOKEN_EXPIRED), (reason,))

    def _enter(self, room: Room, name: str) -> None:
        """Set the context in a room."""
        context, match = self.context, room.match
        context.room = name
        context.memberships = self.facts.memberships
        context.signature = match.signature
        context.values = match.values
        self.allow = room.allow

    def _unknown_room(self, namespace: Namespace) -> Decision:
        text = f"no room of {namespace.name} has this form"
        return self._refused(Code.UNKNOWN_ROOM, text, namespace.span)

    def _over_room_rate(self, template: RoomTemplate) -> Decision:
        return self._refused(Code.RATE_LIMITED, "the session is over the room's own rate", template.span)

    def _too_large(self, limits: Limits, event: Event) -> Decision | None:
        size, most = self.facts.size, limits.message_size
        if size is None or most is None or size <= most:
            return None
        return self._refused(Code.TOO_LARGE, f"message_size {most}", event.span)

    def _payload_holds(self) -> bool:
        try:
            return bool(self.facts.payload_holds())
        except Exception:  # noqa: BLE001 - data that makes the check fail does not fit
            return False

    def ruled(self, place: str, rule: Rule, span: Span, further: Rule | None = None) -> Decision:
        """Decide by a rule, and by a further one where there is one: then both must hold."""
        context = self.context
        verdict = context.rules.get_compiled(rule).evaluate(context)
        if further is None:
            reason = Reason(place, verdict.truth, span, (verdict.reason,))
            return self._ruled(verdict, (reason,), [(rule, verdict)])
        judged = [(rule, verdict), (further, context.rules.get_compiled(further).evaluate(context))]
        verdict = combine_all([each for _, each in judged], place, span)
        return self._ruled(verdict, (verdict.reason,), judged)

    def _ruled(
        self, verdict: Verdict, reasons: tuple[Reason, ...], judged: Sequence[tuple[Rule, Verdict]]
    ) -> Decision:
        """Decide by a verdict, which comes of what was `judged`."""
        outcome: Outcome = self.allow
        if verdict.truth is not Truth.TRUE:
            pendency = verdict.pendency
            if pendency is not None and pendency.to_hold:
                outcome = Pending(pendency.to_hold)
            else:
                outcome = Deny(self._code(verdict, judged))
        until, ends_at = verdict.until, self.context.who.ends_at
        if until is None or (ends_at is not None and ends_at < until):
            until = ends_at
        return Decision(outcome, reasons, until)

    def _code(self, verdict: Verdict, judged: Sequence[tuple[Rule, Verdict]]) -> Code:
        for rule, each in judged:
            closed = isinstance(resolve_rule(rule, self.rules.policy.rules), (Nobody, ByServer))
            if closed and each.truth is not Truth.TRUE:
                return Code.RULE_DENIED
        if self.context.who.subject is None:
            return Code.TOKEN_MISSING
        if verdict.pendency is not None and verdict.pendency.could_hold:
            return Code.UNAVAILABLE
        return Code.SCOPE_MISSING if verdict.scopes_alone else Code.RULE_DENIED

    # --- refusals beside the rule ---

    def _refused(self, code: Code, text: str, span: Span) -> Decision:
        return Decision(Deny(code), (Reason(text, Truth.FALSE, span),), self.context.who.ends_at)

    def _instead(self, allowed: Decision, code: Code, text: str, span: Span) -> Decision:
        """Refuse what the rules allow, for as long as they do: they are no reason of this refusal."""
        return Decision(Deny(code), (Reason(text, Truth.FALSE, span),), allowed.valid_until)
