"""The decision function: policy, principal, request, facts and time in; a decision with its reasons out.

The checks run in this order, and the first that fails gives the code:

    token of this namespace, not expired · shape of the request · rate · template · membership
    the room's own rate · event · size · rule · payload schema · too_many · room_full

It is total: it returns a decision for any input, and refuses a request that it cannot decide. If a rule needs
answers from outside that can matter, the decision is `Pending` with the questions: the caller gets the answers
and decides again, with the answers among the facts. A question that could not be answered makes the request
`unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from compartmentd.policy.codes import Code
from compartmentd.policy.decision import (
    NO_ANSWERS,
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
from compartmentd.policy.model import ByServer, Event, Namespace, Nobody, RoomTemplate, Rule
from compartmentd.policy.principal import Principal
from compartmentd.policy.rules.combinators import combine_all, find_earliest
from compartmentd.policy.rules.context import EvaluationContext, Verdict
from compartmentd.policy.rules.traverse import resolve_rule
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates.cache import CachedRoom
from compartmentd.problems import Span
from compartmentd.util.humanize import format_rate

_CLOSED_RULES = (Nobody, ByServer)
"""Rules that no token of a client makes true, so a refusal by them never asks for one."""

_FAILED = Decision(Deny(Code.RULE_DENIED), (Reason("the request could not be decided", Truth.UNKNOWN),))


def decide(ruleset: Ruleset, who: Principal, request: Request, facts: Facts, now: float) -> Decision:
    """Decide a request; never raises.

    Args:
        ruleset: The policy in force.
        who: The principal of the request.
        request: The request. One for a namespace that is not declared is refused with `rule_denied`.
        facts: What the policy does not contain: memberships, counts, rates, the payload, answers.
        now: Wall time in seconds.

    Returns:
        The decision, with its reasons and the time until which it is valid.
    """
    try:
        context = EvaluationContext(ruleset.compiled_rules, who, now)
        # Most requests have no answers, and a keyword argument would take 40 ns.
        if facts.answers is not NO_ANSWERS:
            context.answers = facts.answers
        return _Case(ruleset, context, facts).decide(request)
    except Exception:  # noqa: BLE001 - an error while deciding is a refusal, whatever its cause
        return _FAILED


def build_rate_refusal(at: Namespace | RoomTemplate, rate: str, who: Principal) -> Decision:
    """Return the refusal of a request that is over a rate, by the rate's own line.

    Args:
        at: The namespace, or the room with a rate of its own.
        rate: The name of the rate, as `Limits` has it.
        who: The principal of the request.
    """
    most: float | None = getattr(at.limits, rate)
    name = rate.removeprefix("own_")
    text = f"over `{name}`" if most is None else f"over `{name}`: {format_rate(most, _RATES[rate])}"
    return Decision(Deny(Code.RATE_LIMITED), (Reason(text, Truth.FALSE, _find(at, rate)),), who.ends_at)


_RATES = {
    f"{own}{rate}": noun
    for rate, noun in (("message_rate", "message"), ("byte_rate", "byte"), ("join_rate", "join"))
    for own in ("", "own_")
}
"""What each rate counts."""


def _find(at: Namespace | RoomTemplate, limit: str) -> Span:
    """Return the place of a limit; of a default that of what it applies to."""
    return at.limits.find_span(limit) or at.span


class _Case(msgspec.Struct, gc=False):
    """One request with everything that is needed to decide it.

    Each check returns a refusal, or `None` to continue.
    """

    ruleset: Ruleset
    context: EvaluationContext
    facts: Facts
    allow: Allow = Allow()
    """The outcome if nothing refuses the request."""

    def decide(self, request: Request) -> Decision:
        # By type: an `isinstance` that fails takes 100 ns with a struct, whose metaclass is not `type`.
        if type(request) is Administer:
            return self._administer()
        namespace = self.ruleset.policy.namespaces.get(request.namespace)
        if namespace is None:
            return Decision(Deny(Code.RULE_DENIED), (Reason("no such namespace", Truth.FALSE),))
        # The requests of clients first: nearly all are of these.
        if type(request) is Join:
            return self._check_request(namespace) or self._join(namespace, request)
        if type(request) is Publish:
            return self._check_request(namespace) or self._publish(namespace, request)
        if type(request) is Connect:
            return self._check_request(namespace) or self._connect(namespace)
        if type(request) is CallApi:
            return self._call_api(namespace, request)
        return _FAILED

    # --- the requests ---

    def _administer(self) -> Decision:
        rule = self.ruleset.policy.admin_access
        return self._check_expiry("admin_access", rule.span) or self._apply_rule(
            "admin_access", rule, rule.span
        )

    def _call_api(self, namespace: Namespace, request: CallApi) -> Decision:
        """Decide for a service, whose token's entry has `use: api` and need not be among those that may connect."""
        place = f"api {request.use} of {namespace.name}"
        rule = {"read": namespace.api.read, "publish": namespace.api.publish, "manage": namespace.api.manage}
        return self._check_expiry(place, namespace.span) or self._apply_rule(
            place, rule[request.use], namespace.span
        )

    def _connect(self, namespace: Namespace) -> Decision:
        allowed = self._apply_rule(f"connect to {namespace.name}", namespace.connect, namespace.span)
        most = namespace.limits.sessions_per_user
        # A session without a token has no user to count by; it is bounded by address.
        if (
            not allowed.allowed
            or most is None
            or self.context.who.subject is None
            or self.facts.sessions < most
        ):
            return allowed
        if namespace.limits.replaces_oldest and not self.ruleset.policy.observes_limits:
            return allowed  # and the caller ends the oldest
        return self._refuse_count(allowed, namespace, "sessions_per_user", most)

    def _refuse_count(self, allowed: Decision, namespace: Namespace, limit: str, most: int) -> Decision:
        """Refuse what would be more than a count allows, or note that where limits are only observed."""
        if self.ruleset.policy.observes_limits:
            return msgspec.structs.replace(allowed, observed=limit)
        return self._override(allowed, Code.TOO_MANY, f"{limit} {most}", _find(namespace, limit))

    def _join(self, namespace: Namespace, request: Join) -> Decision:
        room = self.ruleset.rooms.find(namespace.name, request.room)
        if room is None:
            return self._refuse_unknown_room(namespace)
        self._enter(room, request.room)
        context, facts, template = self.context, self.facts, room.match.template
        context.by_server = request.by_server
        if not facts.within_room_rate:
            return self._refuse_room_rate(template)
        verdict = context.rules.get_compiled(template.join).evaluate(context)
        decision = self._conclude(verdict, room.get_reasons(verdict), [(template.join, verdict)])
        if not decision.allowed or request.room in facts.memberships:
            return decision  # a session that is already in the room takes no further place
        return self._check_place(namespace, template, decision)

    def _check_place(self, namespace: Namespace, template: RoomTemplate, allowed: Decision) -> Decision:
        most = namespace.limits.rooms_per_session
        if most is not None and len(self.facts.memberships) >= most:
            if self.context.by_server:  # auto-join stops at the limit, whatever the mode: it is no refusal
                span = _find(namespace, "rooms_per_session")
                return self._override(allowed, Code.TOO_MANY, f"rooms_per_session {most}", span)
            allowed = self._refuse_count(allowed, namespace, "rooms_per_session", most)
            if not allowed.allowed:
                return allowed
        if template.capacity is not None and self.facts.occupancy >= template.capacity:
            return self._override(allowed, Code.ROOM_FULL, f"capacity {template.capacity}", template.span)
        return allowed

    def _publish(self, namespace: Namespace, request: Publish) -> Decision:
        if request.room is None:
            place = f"publish to namespace {namespace.name}"
            return self._decide_message(place, request.event, namespace)
        room = self.ruleset.rooms.find(namespace.name, request.room)
        if room is None:
            return self._refuse_unknown_room(namespace)
        self._enter(room, request.room)
        template = room.match.template
        if request.room not in self.facts.memberships:
            return self._refuse(Code.NOT_A_MEMBER, "this session is not in the room", template.span)
        if not self.facts.within_room_rate:
            return self._refuse_room_rate(template)
        return self._decide_message(f"publish to room {template.name}", request.event, template)

    def _decide_message(self, place: str, name: str, at: Namespace | RoomTemplate) -> Decision:
        event = at.events.get(name)
        if event is None:
            return self._refuse(Code.UNKNOWN_EVENT, "the event is not declared here", at.span)
        too_large = self._check_size(at, event)
        if too_large is not None:
            return too_large
        decision = self._apply_rule(place, at.publish, at.span, event.publish)
        if decision.allowed and not self._is_payload_valid():
            return self._override(decision, Code.INVALID_PAYLOAD, f"schema of event {event.name}", event.span)
        return decision

    # --- the checks ---

    def _check_request(self, namespace: Namespace) -> Decision | None:
        """Make the checks that all requests share: of the token, the form of the request, and the rate."""
        who, facts = self.context.who, self.facts
        if who.subject is not None and who.subject.entry not in namespace.issuers:
            text = f"tokens of {who.subject.entry} are not accepted in {namespace.name}"
            return self._refuse(Code.TOKEN_INVALID, text, namespace.span)
        if who.ends_at is not None and not self.context.now < who.ends_at:
            return self._check_expiry(f"namespace {namespace.name}", namespace.span)
        if not facts.well_formed:
            text = "the request does not have the declared form"
            return self._refuse(Code.INVALID_PAYLOAD, text, namespace.span)
        return None if facts.within_rate else build_rate_refusal(namespace, facts.rate, who)

    def _check_expiry(self, place: str, span: Span) -> Decision | None:
        """Refuse a token that has ended; `exp` is exact (RFC 7519, 4.1.4)."""
        ends_at = self.context.who.ends_at
        if ends_at is None or self.context.now < ends_at:
            return None
        reason = Reason(place, Truth.FALSE, span, (Reason("the token has expired", Truth.FALSE),))
        return Decision(Deny(Code.TOKEN_EXPIRED), (reason,))

    def _enter(self, room: CachedRoom, name: str) -> None:
        """Set the context to a room."""
        context, match = self.context, room.match
        context.room = name
        context.memberships = self.facts.memberships
        context.signature = match.signature
        context.values = match.values
        self.allow = room.allow

    def _refuse_unknown_room(self, namespace: Namespace) -> Decision:
        text = f"no room of {namespace.name} has this form"
        return self._refuse(Code.UNKNOWN_ROOM, text, namespace.span)

    def _refuse_room_rate(self, template: RoomTemplate) -> Decision:
        return build_rate_refusal(template, f"own_{self.facts.rate}", self.context.who)

    def _check_size(self, at: Namespace | RoomTemplate, event: Event) -> Decision | None:
        size, most = self.facts.size, at.limits.message_size
        if size is None or most is None or size <= most:
            return None
        span = at.limits.find_span("message_size") or event.span
        return self._refuse(Code.TOO_LARGE, f"message_size {most}", span)

    def _is_payload_valid(self) -> bool:
        try:
            return bool(self.facts.payload_holds())
        except Exception:  # noqa: BLE001 - data that makes the check fail does not fit
            return False

    def _apply_rule(self, place: str, rule: Rule, span: Span, further: Rule | None = None) -> Decision:
        """Decide by a rule, and by a further one if there is one: then both must be true."""
        context = self.context
        verdict = context.rules.get_compiled(rule).evaluate(context)
        if further is None:
            reason = Reason(place, verdict.truth, span, (verdict.reason,))
            return self._conclude(verdict, (reason,), [(rule, verdict)])
        evaluated = [(rule, verdict), (further, context.rules.get_compiled(further).evaluate(context))]
        verdict = combine_all([each for _, each in evaluated], place, span)
        return self._conclude(verdict, (verdict.reason,), evaluated)

    def _conclude(
        self, verdict: Verdict, reasons: tuple[Reason, ...], evaluated: Sequence[tuple[Rule, Verdict]]
    ) -> Decision:
        """Decide by a verdict; `evaluated` are the rules that it is combined from, with their verdicts."""
        outcome: Outcome = self.allow
        if verdict.truth is not Truth.TRUE:
            pendency = verdict.pendency
            if pendency is not None and pendency.to_hold:
                outcome = Pending(pendency.to_hold)
            else:
                outcome = Deny(self._find_code(verdict, evaluated))
        until, ends_at = verdict.until, self.context.who.ends_at
        if verdict.blame_until is not None and not isinstance(outcome, Allow):
            until = find_earliest((until, verdict.blame_until))  # the code is a part of a refusal
        if until is None or (ends_at is not None and ends_at < until):
            until = ends_at
        return Decision(outcome, reasons, until)

    def _find_code(self, verdict: Verdict, evaluated: Sequence[tuple[Rule, Verdict]]) -> Code:
        for rule, each in evaluated:
            closed = type(resolve_rule(rule, self.ruleset.policy.rules)) in _CLOSED_RULES
            if closed and each.truth is not Truth.TRUE:
                return Code.RULE_DENIED
        if self.context.who.subject is None:
            return Code.TOKEN_MISSING
        if verdict.pendency is not None and verdict.pendency.could_hold:
            return Code.UNAVAILABLE
        return Code.SCOPE_MISSING if verdict.scopes_alone else Code.RULE_DENIED

    # --- refusals for other reasons than a rule ---

    def _refuse(self, code: Code, text: str, span: Span) -> Decision:
        return Decision(Deny(code), (Reason(text, Truth.FALSE, span),), self.context.who.ends_at)

    def _override(self, allowed: Decision, code: Code, text: str, span: Span) -> Decision:
        """Refuse what the rules allow, for as long as they allow it: they are not the reason for this refusal."""
        return Decision(Deny(code), (Reason(text, Truth.FALSE, span),), allowed.valid_until)
