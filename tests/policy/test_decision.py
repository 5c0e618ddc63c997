"""The reasons of decisions, with their places, and the time until which a decision is valid."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from compartmentd.names import NamespaceName
from compartmentd.policy.codes import Code
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import (
    Administer,
    CallApi,
    Connect,
    Decision,
    Deny,
    Facts,
    Join,
    Publish,
    Reason,
    Truth,
)
from compartmentd.policy.model import ApiRules, Limits
from compartmentd.policy.principal import Principal
from compartmentd.policy.ruleset import Ruleset
from tests.support.policies import HALL, NOW, namespace, person, policy, rule, span, template

READ = rule({"scope": "read"})
CLOSED = rule("nobody")
LOBBY = template(
    "lobby",
    join={"claim": "end", "is": "future"},
    publish={"scope": "write"},
    events={"say": None, "shout": {"scope": "shout"}},
    capacity=2,
    limits=Limits(message_size=9),
)
SAY, SHOUT = LOBBY.events["say"], LOBBY.events["shout"]
ROOM = structs.replace(
    namespace(
        LOBBY,
        connect={"scope": "read"},
        publish="authenticated",
        events=["note"],
        limits=Limits(sessions_per_user=1, rooms_per_session=3),
    ),
    api=ApiRules(read=READ, publish=CLOSED, manage=CLOSED),
)
RULES = Ruleset.build(structs.replace(policy(ROOM), admin_access=READ))

ANN = person(scope="read write", end=NOW + 50, ends_at=NOW + 90)
BOB = person(end=NOW - 50, ends_at=NOW + 90)
LATE = person(scope="read", ends_at=NOW)
ZOE = person(entry="another", ends_at=NOW + 90)

JOIN, SAYS, SHOUTS = Join(HALL, "lobby"), Publish(HALL, "lobby", "say"), Publish(HALL, "lobby", "shout")
INSIDE = frozenset({"lobby"})

YES, NO = Truth.TRUE, Truth.FALSE

Chain = list[tuple[str, Truth, Any]]


def find_chain(reason: Reason) -> Chain:
    """Return the reason, and the first part of each below it: text, truth, place."""
    return [(reason.text, reason.truth, reason.span), *(find_chain(reason.parts[0]) if reason.parts else [])]


@pytest.mark.parametrize(
    ("request_", "who", "facts", "code", "chain", "until"),
    [
        (
            Connect(HALL),
            ANN,
            {},
            None,
            [("connect to /hall", YES, ROOM.span), ("scope read", YES, ROOM.connect.span)],
            NOW + 90,
        ),
        (
            Connect(HALL),
            BOB,
            {},
            Code.SCOPE_MISSING,
            [("connect to /hall", NO, ROOM.span), ("scope read", NO, ROOM.connect.span)],
            NOW + 90,
        ),
        (
            Connect(HALL),
            ANN,
            {"sessions": 1},
            Code.TOO_MANY,
            [("sessions_per_user 1", NO, ROOM.span)],
            NOW + 90,
        ),
        (
            Connect(HALL),
            LATE,
            {},
            Code.TOKEN_EXPIRED,
            [("namespace /hall", NO, ROOM.span), ("the token has expired", NO, None)],
            None,
        ),
        (
            Connect(HALL),
            ZOE,
            {},
            Code.TOKEN_INVALID,
            [("tokens of another are not accepted in /hall", NO, ROOM.span)],
            NOW + 90,
        ),
        (
            Connect(HALL),
            ANN,
            {"well_formed": False},
            Code.INVALID_PAYLOAD,
            [("the request does not have the declared form", NO, ROOM.span)],
            NOW + 90,
        ),
        (
            Connect(HALL),
            ANN,
            {"within_rate": False},
            Code.RATE_LIMITED,
            [("over `message_rate`: 50 messages a second", NO, ROOM.span)],
            NOW + 90,
        ),
        (Connect(NamespaceName("/no")), ANN, {}, Code.RULE_DENIED, [("no such namespace", NO, None)], None),
        (
            JOIN,
            ANN,
            {},
            None,
            [("join room lobby", YES, LOBBY.span), ("claim end is future", YES, LOBBY.join.span)],
            NOW + 50,
        ),
        (JOIN, ANN, {"occupancy": 2}, Code.ROOM_FULL, [("capacity 2", NO, LOBBY.span)], NOW + 50),
        (
            JOIN,
            BOB,
            {},
            Code.RULE_DENIED,
            [("join room lobby", NO, LOBBY.span), ("claim end is future", NO, LOBBY.join.span)],
            NOW + 90,
        ),
        (
            SAYS,
            ANN,
            {},
            Code.NOT_A_MEMBER,
            [("this session is not in the room", NO, LOBBY.span)],
            NOW + 90,
        ),
        (
            SAYS,
            ANN,
            {"memberships": INSIDE},
            None,
            [("publish to room lobby", YES, LOBBY.span), ("scope write", YES, LOBBY.publish.span)],
            NOW + 90,
        ),
        (
            SHOUTS,
            ANN,
            {"memberships": INSIDE},
            Code.SCOPE_MISSING,
            [("publish to room lobby", NO, LOBBY.span), ("scope shout", NO, SHOUT.publish.span)],
            NOW + 90,
        ),
        (
            SAYS,
            ANN,
            {"memberships": INSIDE, "size": 10},
            Code.TOO_LARGE,
            [("message_size 9", NO, SAY.span)],
            NOW + 90,
        ),
        (
            SAYS,
            ANN,
            {"memberships": INSIDE, "payload_holds": lambda: False},
            Code.INVALID_PAYLOAD,
            [("schema of event say", NO, SAY.span)],
            NOW + 90,
        ),
        (
            Publish(HALL, None, "note"),
            ANN,
            {},
            None,
            [("publish to namespace /hall", YES, ROOM.span), ("authenticated", YES, ROOM.publish.span)],
            NOW + 90,
        ),
        (
            Administer(),
            ANN,
            {},
            None,
            [("admin_access", YES, READ.span), ("scope read", YES, READ.span)],
            NOW + 90,
        ),
        (
            Administer(),
            LATE,
            {},
            Code.TOKEN_EXPIRED,
            [("admin_access", NO, READ.span), ("the token has expired", NO, None)],
            None,
        ),
        (
            CallApi(HALL, "read"),
            ANN,
            {},
            None,
            [("api read of /hall", YES, ROOM.span), ("scope read", YES, READ.span)],
            NOW + 90,
        ),
        (
            CallApi(HALL, "read"),
            LATE,
            {},
            Code.TOKEN_EXPIRED,
            [("api read of /hall", NO, ROOM.span), ("the token has expired", NO, None)],
            None,
        ),
    ],
)
def test_a_decision_has_its_reasons_at_their_places_and_its_time(
    *,
    request_: Any,
    who: Principal,
    facts: dict[str, Any],
    code: Code | None,
    chain: Chain,
    until: float | None,
) -> None:
    decision = decide(RULES, who, request_, Facts(**facts), NOW)
    (reason,) = decision.reasons
    assert (decision.code, find_chain(reason), decision.valid_until) == (code, chain, until)


def build_rules(*, observe: bool = False, replace: bool = False) -> Ruleset:
    """Return rules for one room of two, with one session a user and one room a session."""
    limits = Limits(sessions_per_user=1, rooms_per_session=1, replaces_oldest=replace)
    hall = namespace(template("lobby", join="public", capacity=2), limits=limits)
    return Ruleset.build(structs.replace(policy(hall), observes_limits=observe))


@pytest.mark.parametrize(
    ("mode", "sessions", "code", "observed"),
    [
        ({}, 0, None, ""),
        ({}, 1, Code.TOO_MANY, ""),
        ({"observe": True}, 0, None, ""),
        ({"observe": True}, 1, None, "sessions_per_user"),
        ({"replace": True}, 1, None, ""),
        ({"observe": True, "replace": True}, 1, None, "sessions_per_user"),
    ],
)
def test_one_session_more_is_refused_or_observed_or_takes_the_place_of_another(
    mode: dict[str, bool], sessions: int, code: Code | None, observed: str
) -> None:
    decision = decide(build_rules(**mode), ANN, Connect(HALL), Facts(sessions=sessions), NOW)
    assert (decision.code, decision.observed) == (code, observed)
    assert decision.valid_until == NOW + 90


@pytest.mark.parametrize(
    ("observe", "by_server", "facts", "code", "observed"),
    [
        (False, False, {}, None, ""),
        (False, False, {"memberships": {"a"}}, Code.TOO_MANY, ""),
        (False, True, {"memberships": {"a"}}, Code.TOO_MANY, ""),
        (True, False, {}, None, ""),
        (True, False, {"memberships": {"a"}}, None, "rooms_per_session"),
        (True, True, {"memberships": {"a"}}, Code.TOO_MANY, ""),
        (True, False, {"memberships": {"a"}, "occupancy": 2}, Code.ROOM_FULL, ""),
        (True, False, {"memberships": {"a", "lobby"}, "occupancy": 2}, None, ""),
    ],
)
def test_one_room_more_is_refused_or_observed_but_no_full_room_is_joined(
    *, observe: bool, by_server: bool, facts: dict[str, Any], code: Code | None, observed: str
) -> None:
    rules = build_rules(observe=observe)
    decision = decide(rules, ANN, Join(HALL, "lobby", by_server=by_server), Facts(**facts), NOW)
    assert (decision.code, decision.observed) == (code, observed)
    if code is Code.TOO_MANY:
        hall = rules.policy.namespaces[HALL]
        assert [find_chain(reason) for reason in decision.reasons] == [
            [("rooms_per_session 1", NO, hall.span)]
        ]


def test_a_limit_of_rooms_stands_at_its_own_line_for_the_operator_too() -> None:
    place = span()
    limits = Limits(rooms_per_session=0, spans=(("rooms_per_session", place),))
    rules = Ruleset.build(policy(namespace(template("lobby", join="public"), limits=limits)))
    for by_server in (False, True):
        decision = decide(rules, ANN, Join(HALL, "lobby", by_server=by_server), Facts(), NOW)
        assert decision.spans == (place,)


def test_what_cannot_be_decided_is_unknown() -> None:
    nothing: Any = None
    (reason,) = decide(nothing, ANN, JOIN, Facts(), NOW).reasons
    assert (reason.truth, reason.span, reason.parts) == (Truth.UNKNOWN, None, ())


def test_a_refusal_without_further_words_has_no_reasons_and_no_end() -> None:
    bare = Decision(Deny(Code.RATE_LIMITED))
    assert (bare.reasons, bare.spans, bare.valid_until, bare.allowed) == ((), (), None, False)


def test_the_words_for_the_values_of_a_rule_are_those_of_json() -> None:
    assert [each.value for each in Truth] == ["false", "unknown", "true"]


def test_facts_that_are_not_given_refuse_nothing() -> None:
    rules = Ruleset.build(
        policy(
            namespace(template("one", capacity=1), limits=Limits(sessions_per_user=1, rooms_per_session=1))
        )
    )
    assert decide(rules, ANN, Connect(HALL), Facts(), NOW).allowed
    assert decide(rules, ANN, Join(HALL, "one"), Facts(), NOW).allowed


def test_a_room_is_joined_by_a_client_unless_the_operator_does_it() -> None:
    rules = Ruleset.build(policy(namespace(template("desk", join={"not": "server"}))))
    assert decide(rules, ANN, Join(HALL, "desk"), Facts(), NOW).allowed
    assert not decide(rules, ANN, Join(HALL, "desk", by_server=True), Facts(), NOW).allowed


def test_an_allowed_request_outside_rooms_names_no_room() -> None:
    outcome: Any = decide(RULES, ANN, Connect(HALL), Facts(), NOW).outcome
    assert (outcome.template, outcome.values) == (None, ())
