from __future__ import annotations

from typing import Any

import pytest

from compartmentd.policy.model import Policy
from compartmentd.policy.named_claims import collect_claim_names
from tests.support.policies import namespace, policy, template

CLAIM = {"claim": "c", "exists": True}


@pytest.mark.parametrize(
    "made",
    [
        policy(rules={"r": CLAIM}),
        policy(admin_access=CLAIM),
        policy(namespace(connect=CLAIM)),
        policy(namespace(publish=CLAIM)),
        policy(namespace(events={"e": CLAIM})),
        policy(namespace(template("a", join=CLAIM))),
        policy(namespace(template("a", publish=CLAIM))),
        policy(namespace(template("a", events={"e": CLAIM, "f": None}))),
        policy(namespace(template("a", join={"all": ["public", {"any": [{"not": CLAIM}]}]}))),
        policy(namespace(template("{p}", join={"claim": ["c", "d", "{p}"], "equals": "x"}))),
        policy(namespace(template("{p}", auto_join={"p": "c"}))),
        policy(namespace(template("{p}", auto_join={"p": ("c", "d")}))),
        policy(namespace(template("a"), template("b", join=CLAIM))),
    ],
)
def test_a_claim_is_found_wherever_it_is_named(made: Policy) -> None:
    assert collect_claim_names(made) == ("c",)


@pytest.mark.parametrize("form", ["public", {"scope": "c"}, {"param": "p", "equals": "c"}, {"rule": "c"}])
def test_what_reads_no_claim_names_none(form: Any) -> None:
    assert collect_claim_names(policy(namespace(template("{p}", join=form), connect=form))) == ()
