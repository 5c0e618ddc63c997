from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import Struct, structs

from compartmentd.names import NamespaceName
from compartmentd.policy.codes import MEANINGS, Code
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import (
    Administer,
    Allow,
    CallApi,
    Connect,
    Decision,
    Deny,
    Facts,
    Join,
    Pending,
    Publish,
    Question,
    Reason,
)
from compartmentd.policy.model import All, AnyOf, ApiRules, Limits
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates.cache import RoomCache
from tests.support.policies import (
    HALL,
    NOW,
    connect,
    join,
    namespace,
    person,
    policy,
    publish,
    rule,
    ruleset,
    span,
    template,
)

ANN = person("ann", scope="read write", tenant="acme")


def raises() -> bool:
    raise ValueError


# --- the order of the checks ---


class Mending:
    """A request with everything wrong about it, of which one fault after the other is mended."""

    def __init__(self, request: Any) -> None:
        self.rules = ruleset(
            template(
                "lobby", join={"scope": "read"}, publish={"scope": "read"}, events=["message"], capacity=5
            ),
            connect={"scope": "read"},
            publish={"scope": "read"},
            events=["message"],
        )
        self.request = request
        self.who = person("bob", ends_at=NOW)
        self.facts = Facts(
            well_formed=False,
            within_rate=False,
            within_room_rate=False,
            size=1 << 30,
            payload_holds=raises,
            sessions=1000,
            occupancy=1000,
            memberships=frozenset(f"r{i}" for i in range(1000)),
        )

    def code(self) -> Code | None:
        return decide(self.rules, self.who, self.request, self.facts, NOW).code

    def mend(self, **mended: Any) -> Code | None:
        self.who = mended.pop("who", self.who)
        self.request = mended.pop("request", self.request)
        self.facts = structs.replace(self.facts, **mended)
        return self.code()


def test_the_checks_of_a_connect_run_in_order() -> None:
    case = Mending(Connect(HALL))
    assert case.code() is Code.TOKEN_EXPIRED
    assert case.mend(who=person("bob")) is Code.INVALID_PAYLOAD
    assert case.mend(well_formed=True) is Code.RATE_LIMITED
    assert case.mend(within_rate=True) is Code.SCOPE_MISSING
    assert case.mend(who=ANN) is Code.TOO_MANY
    assert case.mend(sessions=0) is None


def test_the_checks_of_a_join_run_in_order() -> None:
    case = Mending(Join(HALL, "nowhere"))
    assert case.code() is Code.TOKEN_EXPIRED
    assert case.mend(who=person("bob")) is Code.INVALID_PAYLOAD
    assert case.mend(well_formed=True) is Code.RATE_LIMITED
    assert case.mend(within_rate=True) is Code.UNKNOWN_ROOM
    assert case.mend(request=Join(HALL, "lobby")) is Code.RATE_LIMITED
    assert case.mend(within_room_rate=True) is Code.SCOPE_MISSING
    assert case.mend(who=ANN) is Code.TOO_MANY
    assert case.mend(memberships=frozenset({"r1"})) is Code.ROOM_FULL
    assert case.mend(occupancy=4) is None


def test_the_checks_of_a_publish_run_in_order() -> None:
    case = Mending(Publish(HALL, "nowhere", "unheard"))
    assert case.code() is Code.TOKEN_EXPIRED
    assert case.mend(who=person("bob")) is Code.INVALID_PAYLOAD
    assert case.mend(well_formed=True) is Code.RATE_LIMITED
    assert case.mend(within_rate=True) is Code.UNKNOWN_ROOM
    assert case.mend(request=Publish(HALL, "lobby", "unheard")) is Code.NOT_A_MEMBER
    assert case.mend(memberships=frozenset({"lobby"})) is Code.RATE_LIMITED
    assert case.mend(within_room_rate=True) is Code.UNKNOWN_EVENT
    assert case.mend(request=Publish(HALL, "lobby", "message")) is Code.TOO_LARGE
    assert case.mend(size=64 * 1024) is Code.SCOPE_MISSING
    assert case.mend(who=ANN) is Code.INVALID_PAYLOAD
    assert case.mend(payload_holds=lambda: True) is None


def test_the_checks_of_a_publish_to_the_namespace_run_in_order() -> None:
    case = Mending(Publish(HALL, None, "unheard"))
    case.mend(who=person("bob"), well_formed=True)
    assert case.mend(within_rate=True) is Code.UNKNOWN_EVENT
    assert case.mend(request=Publish(HALL, None, "message")) is Code.TOO_LARGE
    assert case.mend(size=None) is Code.SCOPE_MISSING
    assert case.mend(who=ANN) is Code.INVALID_PAYLOAD
    assert case.mend(payload_holds=lambda: True) is None


def test_the_payload_is_looked_at_last_of_all() -> None:
    rules = ruleset(template("lobby", publish={"scope": "owner"}, events=["message"]))
    looked: list[str] = []
    decision = publish(rules, ANN, "lobby", "message", payload_holds=lambda: looked.append("at it") or True)
    assert decision.code is Code.SCOPE_MISSING
    assert looked == []


# --- the codes of a rule that does not hold ---


@pytest.mark.parametrize(
    ("form", "ann", "anonymous"),
    [
        ("nobody", Code.RULE_DENIED, Code.RULE_DENIED),
        ("server", Code.RULE_DENIED, Code.RULE_DENIED),
        ({"rule": "closed"}, Code.RULE_DENIED, Code.RULE_DENIED),
        ({"rule": "closed_too"}, Code.RULE_DENIED, Code.RULE_DENIED),
        ({"all": ["nobody", "public"]}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        ({"all": ["server", {"scope": "read"}]}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        ("authenticated", None, Code.TOKEN_MISSING),
        ("public", None, None),
        ({"scope": "owner"}, Code.SCOPE_MISSING, Code.TOKEN_MISSING),
        ({"claim": "tenant", "equals": "zeus"}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        ({"claim": "tenant", "equals": 7}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        ({"param": "p", "equals": "zeus"}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        ({"member_of": "team"}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        ({"not": {"scope": "read"}}, Code.RULE_DENIED, Code.TOKEN_MISSING),
        (
            {"any": [{"scope": "owner"}, {"claim": "tenant", "equals": "zeus"}]},
            Code.RULE_DENIED,
            Code.TOKEN_MISSING,
        ),
        (
            {"all": [{"scope": "owner"}, {"claim": "tenant", "equals": "acme"}]},
            Code.SCOPE_MISSING,
            Code.TOKEN_MISSING,
        ),
        ({"rule": "owner"}, Code.SCOPE_MISSING, Code.TOKEN_MISSING),
        ({"rule": "missing"}, Code.RULE_DENIED, Code.TOKEN_MISSING),
    ],
)
def test_the_code_of_a_rule_that_does_not_hold(form: Any, ann: Code | None, anonymous: Code | None) -> None:
    named = {"closed": "nobody", "closed_too": {"rule": "closed"}, "owner": {"scope": "owner"}}
    rules = ruleset(template("room:{p}", join=form), rules=named)
    assert join(rules, ANN, "room:apollo").code is ann
    assert join(rules, ANONYMOUS, "room:apollo").code is anonymous


def test_a_scope_that_may_be_held_elsewhere_is_missing_too() -> None:
    rules = ruleset(connect={"scope": "owner"})
    assert connect(rules, person(scope=7)).code is Code.SCOPE_MISSING


@pytest.mark.parametrize(
    ("room", "event", "code"),
    [
        ({"scope": "write"}, {"scope": "write"}, None),
        ({"scope": "write"}, {"scope": "owner"}, Code.SCOPE_MISSING),
        ({"scope": "owner"}, {"scope": "write"}, Code.SCOPE_MISSING),
        ({"scope": "owner"}, {"claim": "tenant", "equals": "zeus"}, Code.RULE_DENIED),
        ({"scope": "owner"}, "nobody", Code.RULE_DENIED),
        ("nobody", {"scope": "write"}, Code.RULE_DENIED),
        ("members", {"scope": "write"}, None),
    ],
)
def test_the_rule_of_an_event_is_needed_in_addition(room: Any, event: Any, code: Code | None) -> None:
    rules = ruleset(template("lobby", publish=room, events={"message": event}))
    assert publish(rules, ANN, "lobby", "message").code is code


def test_members_may_publish_where_the_rule_says_so() -> None:
    rules = ruleset(
        template("lobby", publish="members", events=["message"]), publish="members", events=["message"]
    )
    assert publish(rules, ANONYMOUS, "lobby", "message").allowed
    assert publish(rules, ANN, "lobby", "message", memberships=frozenset({"other"})).code is Code.NOT_A_MEMBER
    assert not publish(rules, ANN, None, "message").allowed  # a namespace is no room


def test_the_operators_side_may_join_where_clients_may_not() -> None:
    rules = ruleset(template("desk", join={"all": ["server", {"scope": "read"}]}))
    assert join(rules, ANN, "desk", by_server=True).allowed
    assert join(rules, person("bob"), "desk", by_server=True).code is Code.SCOPE_MISSING
    assert join(rules, ANN, "desk").code is Code.RULE_DENIED


# --- tokens ---


def test_a_token_of_an_entry_that_the_namespace_does_not_take_is_refused_even_where_all_may_enter() -> None:
    rules = ruleset(template("lobby", join="public"))
    stranger = person("ann", entry="other")
    assert connect(rules, stranger).code is Code.TOKEN_INVALID
    assert join(rules, stranger, "lobby").code is Code.TOKEN_INVALID
    assert connect(rules, ANONYMOUS).allowed


@pytest.mark.parametrize(
    ("ends_at", "code"), [(NOW - 1, Code.TOKEN_EXPIRED), (NOW, Code.TOKEN_EXPIRED), (NOW + 1e-3, None)]
)
def test_a_token_ends_exactly_when_it_says(ends_at: float, code: Code | None) -> None:
    rules = ruleset(template("lobby", publish="public", events=["message"], join="public"))
    who = person("ann", ends_at=ends_at)
    assert connect(rules, who).code is code
    assert join(rules, who, "lobby").code is code
    assert publish(rules, who, "lobby", "message").code is code


# --- limits ---


def test_sessions_are_counted_for_who_has_a_token() -> None:
    rules = ruleset(limits=Limits(sessions_per_user=2))
    assert connect(rules, ANN, sessions=1).allowed
    assert connect(rules, ANN, sessions=2).code is Code.TOO_MANY
    assert connect(rules, ANONYMOUS, sessions=2).allowed
    unlimited = ruleset(limits=Limits(sessions_per_user=None))
    assert connect(unlimited, ANN, sessions=10**6).allowed


def test_who_is_in_a_room_already_takes_no_place() -> None:
    rules = ruleset(template("room:{p}", capacity=2), limits=Limits(rooms_per_session=2))
    full = {"memberships": frozenset({"room:a", "room:b"}), "occupancy": 2}
    assert join(rules, ANN, "room:a", **full).allowed
    assert join(rules, ANN, "room:c", **full).code is Code.TOO_MANY
    assert join(rules, ANN, "room:c", memberships=frozenset({"room:a"}), occupancy=2).code is Code.ROOM_FULL
    assert join(rules, ANN, "room:c", memberships=frozenset({"room:a"}), occupancy=1).allowed


def test_who_is_in_a_room_is_asked_again_like_anyone() -> None:
    rules = ruleset(template("lobby", join={"scope": "owner"}))
    assert join(rules, ANN, "lobby", memberships=frozenset({"lobby"})).code is Code.SCOPE_MISSING


def test_a_full_room_is_told_only_to_those_who_may_enter() -> None:
    rules = ruleset(template("lobby", join={"scope": "owner"}, capacity=1))
    assert join(rules, ANN, "lobby", occupancy=1).code is Code.SCOPE_MISSING


@pytest.mark.parametrize(("size", "code"), [(None, None), (10, None), (11, Code.TOO_LARGE)])
def test_the_size_of_a_message(size: int | None, code: Code | None) -> None:
    small = Limits(message_size=10)
    rules = ruleset(template("lobby", publish="members", events=["message"], limits=small))
    assert publish(rules, ANN, "lobby", "message", size=size).code is code
    unlimited = ruleset(
        template("lobby", publish="members", events=["message"], limits=Limits(message_size=None))
    )
    assert publish(unlimited, ANN, "lobby", "message", size=size).allowed


# --- what a decision says ---


def test_an_allowed_join_says_which_room_it_is() -> None:
    lobby = template("room:{p}:{n}", {"n": (0, None)})
    assert join(ruleset(lobby), ANN, "room:apollo:7").outcome == Allow(lobby, ("apollo", "7"))
    assert connect(ruleset(lobby), ANN).outcome == Allow()


def test_a_decision_points_at_the_lines_that_decided() -> None:
    form = {"any": [{"scope": "owner"}, {"all": [{"scope": "read"}, {"claim": "tenant", "equals": "zeus"}]}]}
    lobby = template("lobby", join=form)
    decision = join(ruleset(lobby), ANN, "lobby")
    assert isinstance(lobby.join, AnyOf)
    scope, combined = lobby.join.parts
    assert isinstance(combined, All)
    assert decision.spans == (scope.span, combined.parts[1].span)
    (reason,) = decision.reasons
    assert (reason.text, reason.span) == ("join room lobby", lobby.span)


@pytest.mark.parametrize(
    ("room", "facts", "text", "where"),
    [
        ("nowhere", {}, "no room of /hall has this form", "namespace"),
        ("lobby", {"occupancy": 9}, "capacity 9", "room"),
        ("lobby", {"memberships": frozenset({"a"})}, "rooms_per_session 1", "namespace"),
        (
            "lobby",
            {"within_room_rate": False, "rate": "join_rate"},
            "over `join_rate`: 1 join a minute",
            "room",
        ),
        (
            "lobby",
            {"within_rate": False, "rate": "join_rate"},
            "over `join_rate`: 20 joins a second",
            "namespace",
        ),
        ("lobby", {"within_rate": False}, "over `message_rate`: 50 messages a second", "namespace"),
        ("lobby", {"within_rate": False, "rate": "byte_rate"}, "over `byte_rate`", "namespace"),
    ],
)
def test_a_refusal_beside_the_rules_has_its_reason_and_place(
    room: str, facts: dict[str, Any], text: str, where: str
) -> None:
    lobby = template("lobby", capacity=9, limits=Limits(own_join_rate=1 / 60))
    hall = namespace(lobby, limits=Limits(rooms_per_session=1))
    decision = join(Ruleset.build(policy(hall)), ANN, room, **facts)
    (reason,) = decision.reasons
    assert reason.text == text
    assert decision.spans == ((hall if where == "namespace" else lobby).span,)
    assert not decision.allowed


def test_a_limit_that_is_declared_is_shown_at_its_own_line() -> None:
    places = {name: span() for name in ("own_message_rate", "message_size")}
    outer = {name: span() for name in ("message_rate", "rooms_per_session", "sessions_per_user")}
    lobby = template(
        "lobby",
        events=["note"],
        publish="members",
        limits=Limits(own_message_rate=2.0, message_size=9, spans=tuple(places.items())),
    )
    hall = namespace(
        lobby, limits=Limits(rooms_per_session=1, sessions_per_user=1, spans=tuple(outer.items()))
    )
    rules = Ruleset.build(policy(hall))
    here = frozenset({"lobby"})
    decided = {
        "own_message_rate": publish(rules, ANN, "lobby", "note", memberships=here, within_room_rate=False),
        "message_size": publish(rules, ANN, "lobby", "note", memberships=here, size=10),
        "message_rate": publish(rules, ANN, "lobby", "note", memberships=here, within_rate=False),
        "rooms_per_session": join(rules, ANN, "lobby", memberships=frozenset({"other"})),
        "sessions_per_user": connect(rules, ANN, sessions=1),
    }
    for name, decision in decided.items():
        assert decision.spans == ((places | outer)[name],), name
        assert (
            decision.reasons[0].text.replace("over `", "own_" if name[:4] == "own_" else "").startswith(name)
        )


def test_reasons_never_show_what_a_token_holds() -> None:
    secret = "s3cr3t"
    who = person(secret, tenant=secret, roles=[secret], age=secret, nested={secret: secret}, scope=secret)
    form = {
        "all": [
            {"claim": "tenant", "equals": "{p}"},
            {"claim": "roles", "contains": "{p}"},
            {"claim": "age", "at_least": 3},
            {"claim": "nested", "contains": "x"},
            {"claim": ["nested", "{p}"], "is": "past"},
            {"claim": ["tenant", "{p}"], "exists": True},
            {"scope": "room:{p}"},
        ]
    }
    decision = join(ruleset(template("room:{p}", join=form)), who, "room:other")
    assert secret not in repr(decision)


def test_a_decision_lasts_until_time_or_the_token_ends_it() -> None:
    form = {"any": [{"claim": "until", "is": "future"}, {"scope": "owner"}]}
    rules = ruleset(template("lobby", join=form))
    assert join(rules, person(until=NOW + 10), "lobby").valid_until == NOW + 10
    assert join(rules, person(until=NOW + 10, ends_at=NOW + 5), "lobby").valid_until == NOW + 5
    assert join(rules, person(until=NOW + 10, scope="owner"), "lobby").valid_until is None
    assert join(rules, person(until=NOW - 10), "lobby").valid_until is None
    assert join(rules, person(until=NOW + 10), "lobby", occupancy=5).valid_until == NOW + 10
    assert connect(rules, person(ends_at=NOW + 5)).valid_until == NOW + 5


def test_what_waits_for_an_answer_is_not_allowed() -> None:
    waiting = Decision(Pending((Question("ask", "billing"),)))
    assert not waiting.allowed
    assert waiting.code is Code.UNAVAILABLE


# --- the admin API ---


def test_the_admin_api_is_for_whom_admin_access_holds() -> None:
    rules = Ruleset.build(policy(admin_access={"scope": "admin"}))
    assert decide(rules, person(scope="admin"), Administer(), Facts(), NOW).allowed
    assert decide(rules, ANN, Administer(), Facts(), NOW).code is Code.SCOPE_MISSING
    assert decide(rules, ANONYMOUS, Administer(), Facts(), NOW).code is Code.TOKEN_MISSING
    assert (
        decide(rules, person(scope="admin", ends_at=NOW), Administer(), Facts(), NOW).code
        is Code.TOKEN_EXPIRED
    )
    assert (
        decide(Ruleset.build(policy()), person(scope="admin"), Administer(), Facts(), NOW).code
        is Code.RULE_DENIED
    )


# --- the server API ---


@pytest.mark.parametrize("use", ["read", "publish", "manage"])
def test_the_api_is_open_by_the_rule_of_its_use_and_to_nobody_without_one(use: Any) -> None:
    nobody = rule("nobody")
    api = structs.replace(
        ApiRules(read=nobody, publish=nobody, manage=nobody), **{use: rule({"scope": "api"})}
    )
    rules = Ruleset.build(policy(structs.replace(namespace(), api=api)))
    service = person("svc", scope="api", entry="another than those that may connect")

    def code(who: Principal, asked: Any, at: NamespaceName = HALL) -> Code | None:
        return decide(rules, who, CallApi(at, asked), Facts(), NOW).code

    for asked in ("read", "publish", "manage"):
        assert code(service, asked) is (None if asked == use else Code.RULE_DENIED)
    assert code(ANN, use) is Code.SCOPE_MISSING
    assert code(ANONYMOUS, use) is Code.TOKEN_MISSING
    assert code(structs.replace(service, ends_at=NOW), use) is Code.TOKEN_EXPIRED
    assert code(service, use, NamespaceName("/elsewhere")) is Code.RULE_DENIED
    assert code(service, "something else") is Code.RULE_DENIED


# --- totality ---


class Leave(Struct):
    """A request that the core does not know, in a namespace that it does."""

    namespace: NamespaceName


def test_a_request_of_an_unknown_kind_is_refused() -> None:
    decision = decide(ruleset(connect="public"), ANN, Leave(HALL), Facts(), NOW)
    assert decision.outcome == Deny(Code.RULE_DENIED)
    assert [reason.text for reason in decision.reasons] == ["the request could not be decided"]


def test_a_namespace_that_is_not_declared_is_refused() -> None:
    rules = ruleset(template("lobby", join="public"), connect="public")
    elsewhere = NamespaceName("/elsewhere")
    for request in (Connect(elsewhere), Join(elsewhere, "lobby"), Publish(elsewhere, None, "message")):
        assert decide(rules, ANN, request, Facts(), NOW).outcome == Deny(Code.RULE_DENIED)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.lists(st.none(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
    st.just(object()),
    st.just(HALL),
)
WHO = st.one_of(
    ODD,
    st.builds(
        lambda subject, claims, scopes, uncertain, ends_at: Principal(
            subject=subject, claims=claims, scopes=scopes, scopes_uncertain=uncertain, ends_at=ends_at
        ),
        *[ODD] * 5,
    ),
)
REQUESTS = st.one_of(
    ODD,
    st.builds(Connect, ODD),
    st.builds(Join, ODD, ODD, ODD),
    st.builds(Publish, ODD, ODD, ODD),
    st.builds(Join, st.just(HALL), ODD),
    st.builds(Publish, st.just(HALL), st.just("lobby"), ODD),
    st.builds(Administer),
    st.builds(CallApi, st.one_of(ODD, st.just(HALL)), ODD),
    st.builds(CallApi, st.just(HALL), st.sampled_from(["read", "publish", "manage"])),
)
FACTS = st.one_of(
    ODD,
    st.builds(
        lambda memberships, size, payload, sessions, occupancy: Facts(
            memberships=memberships, size=size, payload_holds=payload, sessions=sessions, occupancy=occupancy
        ),
        *[ODD] * 5,
    ),
)
CLOSED = ruleset(
    template("lobby", join={"claim": "a", "at_least": 1}, publish={"scope": "s"}, events=["message"]),
    template("{any}", join={"all": [{"scope": "{any}"}, {"claim": ["a", "{any}"], "matches": "a+"}]}),
    connect={"any": [{"scope": "s"}, {"claim": "a", "contains": "b"}]},
)


@given(WHO, REQUESTS, FACTS, ODD)
def test_whatever_is_asked_there_is_a_decision_and_it_is_no(
    who: Any, request: Any, facts: Any, now: Any
) -> None:
    """P1: an error while deciding is a refusal; nothing here could satisfy a rule."""
    decision = decide(CLOSED, who, request, facts, now)
    assert isinstance(decision, Decision)
    assert not decision.allowed
    assert decision.code in MEANINGS
    assert all(isinstance(reason, Reason) for reason in decision.reasons)
    assert not decide(CLOSED, who, Administer(), Facts(), now).allowed


@pytest.mark.parametrize("rules", [None, 7, object()])
def test_even_without_a_policy_there_is_a_decision(rules: Any) -> None:
    assert decide(rules, ANN, Connect(HALL), Facts(), NOW).code is Code.RULE_DENIED
    assert decide(rules, ANN, Administer(), Facts(), NOW).code is Code.RULE_DENIED


def test_a_dispatch_that_fails_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    rules = ruleset(template("lobby", join="public"))
    assert join(rules, ANN, "lobby").allowed
    monkeypatch.setattr(RoomCache, "find", fails)
    assert join(rules, ANN, "lobby").code is Code.RULE_DENIED
