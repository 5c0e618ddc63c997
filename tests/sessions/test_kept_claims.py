"""What a session keeps of its token, and that every policy judges by it as by all claims."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.names import RoomName
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Administer, Facts, Publish
from compartmentd.policy.model import Policy
from compartmentd.policy.named_claims import collect_claim_names
from compartmentd.policy.principal import Principal, collect_scopes
from compartmentd.policy.reconcile import CurrentMembership, reconcile_session
from compartmentd.policy.ruleset import Ruleset
from compartmentd.tokens.kept_claims import KeptClaims
from compartmentd.tokens.verify import Verified
from tests.policy.rules.test_combinators import CLAIM_NAMES, CONDITIONS, PEOPLE, RULES, combined
from tests.support.policies import HALL, NOW, namespace, policy, template
from tests.support.world import ISSUERS, World
from tests.tokens.test_kept_claims import pack

SCOPES = ("scope", "scp")
ROOMS = [CurrentMembership(RoomName(room), by_server=False) for room in ("apollo/7", "hall")]


def make_policy(forms: list[Any], claim: str, rules: Mapping[str, Any]) -> Policy:
    connect, join, publish, event, admin = forms
    rooms = [
        template("{p}/{n}", {"n": (-99, 99)}, join=join, publish=publish, events={"e": event}),
        template("own:{p}", join=join, auto_join={"p": claim}),
    ]
    return policy(namespace(*rooms, connect=connect, publish=publish), rules=rules, admin_access=admin)


POLICIES = st.builds(
    make_policy,
    st.lists(combined(CONDITIONS), min_size=5, max_size=5),
    st.sampled_from([*CLAIM_NAMES[:3], "sub"]),
    RULES,
)


def is_json(who: Principal) -> bool:
    """Return whether a token can have these claims."""
    try:
        json.dumps(dict(who.claims), allow_nan=False).encode()
    except ValueError:
        return False
    return True


def judge(ruleset: Ruleset, who: Principal) -> list[object]:
    """Return everything that a policy says of somebody."""
    facts = Facts(memberships={"apollo/7"})
    scopes, uncertain = collect_scopes(who.claims, SCOPES)
    return [
        (scopes, uncertain),
        reconcile_session(ruleset, HALL, who, ROOMS, now=NOW),
        decide(ruleset, who, Publish(HALL, "apollo/7", "e"), facts, NOW),
        decide(ruleset, who, Administer(), facts, NOW),
    ]


@given(POLICIES, POLICIES, PEOPLE.filter(is_json))
def test_every_policy_judges_by_the_kept_claims_as_by_all(
    before: Policy, after: Policy, who: Principal
) -> None:
    rules, rules_after = Ruleset.build(before), Ruleset.build(after)
    names = frozenset({*collect_claim_names(before), *SCOPES})
    kept = structs.replace(who, claims=pack(who.claims, names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptClaims, "_unpack", None)  # whatever the policy reads it has named
        assert judge(rules, kept) == judge(rules, who)
    assert judge(rules_after, kept) == judge(rules_after, who), "after a reload, as it was packed before"
    names = frozenset({*collect_claim_names(after), *SCOPES})
    again = structs.replace(kept, claims=pack(kept.claims, names))
    assert judge(rules_after, again) == judge(rules_after, who), "after a reload, packed anew"


# --- live sessions ---

LARGE = {"groups": [f"group-{n:030d}" for n in range(150)], "profile": {"text": "x" * 3000}}
CHAT = (
    ISSUERS
    + """
    scopes: [roles]
log: {claims: [tenant]}
namespaces:
  /chat:
    connect: {scope: staff}
    rooms:
      lobby: {join: authenticated, publish: members, events: [message]}
      "team:{team}": {join: {claim: teams, contains: "{team}"}, auto_join: {team: teams}}
"""
)
GROUPS = CHAT.replace("claim: teams, contains", "claim: groups, contains")
CLAIMS: dict[str, Any] = {"roles": ["staff"], "tenant": "acme", "teams": ["a"], "sid": "s1", **LARGE}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CHAT)


def find_verified(client: Any) -> Verified:
    verified = client.session.verified
    assert isinstance(verified, Verified)
    assert client.session.principal.claims is verified.claims
    return verified


def list_kept(client: Any) -> set[str]:
    claims = find_verified(client).claims
    assert isinstance(claims, KeptClaims)
    return set(claims._kept)


def test_a_session_keeps_what_rules_scopes_auto_join_and_log_name(world: World) -> None:
    ann = world.connect("/chat", "ann", **CLAIMS)
    assert list_kept(ann) == {*["iss", "aud", "sub", "iat", "exp", "sid", "roles", "tenant", "teams"]}
    assert ann.rooms == ["team:a"]
    assert world.records[-1].claims == {"tenant": "acme"}
    assert find_verified(ann).claims["profile"] == LARGE["profile"]


def test_a_small_token_is_kept_as_it_is(world: World) -> None:
    ann = world.connect("/chat", "ann", roles="staff", more="x" * 200)
    assert type(find_verified(ann).claims) is dict


@pytest.mark.parametrize("connects_again", [True, False])
def test_a_reload_that_names_another_claim_finds_it(world: World, connects_again: bool) -> None:
    claims = {**CLAIMS, "groups": [*LARGE["groups"], "a"]}
    ann = world.connect("/chat", "ann", **claims)
    assert world.reload(GROUPS) == (0, 0)
    assert ann.rooms == ["team:a"]
    assert "groups" in list_kept(ann)
    if connects_again:
        ann = world.connect("/chat", "ann", **claims)  # by the token that is remembered
        assert world.hub.memory.hits == 1
        assert "groups" in list_kept(ann)
    assert ann.code("join", "team:a") is None
    assert ann.code("join", f"team:{LARGE['groups'][7]}") is None
    assert ann.code("join", "team:b") == "rule_denied"
    assert world.reload(CHAT) == (0, 1)
    assert "groups" not in list_kept(ann)


def test_a_refresh_keeps_as_a_connect_does(world: World) -> None:
    ann = world.connect("/chat", "ann", **CLAIMS)
    assert ann.code("refresh", world.token("ann", **{**CLAIMS, "teams": ["b"]})) is None
    assert ann.rooms == ["team:b"]
    assert "profile" not in list_kept(ann)


def test_what_a_session_holds_of_a_large_token_is_small(world: World) -> None:
    ann = world.connect("/chat", "ann", **CLAIMS)
    claims = find_verified(ann).claims
    assert isinstance(claims, KeptClaims)
    assert claims.measure() < 3000
    assert world.hub.memory.bytes < 4000
    world.tick(4000)
    assert world.hub.memory.bytes == 0
