"""Which tokens a revocation reaches, against a naive list; that few are kept, and that none lets a token in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from compartmentd.names import EntryName, Subject
from compartmentd.policy.codes import Code
from compartmentd.sessions.revocations import MARGIN, Revocation, RevocationKind, Revocations
from compartmentd.tokens.verify import Verified

NOW = 1_800_000_000.0
ISS = "https://id.example.com"
OTHER = "https://other.example.com"
AGE = 1000.0


def revocation(kind: RevocationKind, value: str, before: float = NOW, **changed: Any) -> Revocation:
    good: dict[str, Any] = {"issuer": ISS, "code": Code.LOGGED_OUT, "at": NOW}
    return Revocation(kind=kind, value=value, before=before, **{**good, **changed})


def verified(iat: float | None = NOW, subject: str | None = None, **claims: Any) -> Verified:
    """Return a verified token; `subject` is what the entry takes for it, `sub` where it is not given."""
    return Verified(
        subject=Subject(EntryName("corp"), subject or claims.get("sub", "nobody")),
        claims=claims if iat is None else {"iat": iat, **claims},
        typ=None,
        algorithm="HS256",
        thumbprint="",
        ends_at=(iat or NOW) + AGE,
    )


def kept(*revocations: Revocation, capacity: int = 100) -> Revocations:
    known = Revocations(capacity)
    known.keep_for(AGE)
    known.restore(revocations)
    return known


# --- what it reaches --------------------------------------------------------------------------------------------

CASES: list[tuple[RevocationKind, str, Verified, bool]] = [
    ("sub", "ann", verified(sub="ann"), True),
    ("sub", "ann", verified(sub="ann", sid="s1"), True),
    ("sub", "ann", verified(sub="Ann"), False),
    ("sub", "ann", verified(sub="bob", sid="ann", jti="ann"), False),
    ("sub", "ann", verified(subject="ann", sub="oid-1"), True),
    ("sub", "oid-1", verified(subject="ann", sub="oid-1"), True),
    ("sub", "ann", verified(subject="ann"), True),
    ("sid", "s1", verified(sub="ann", sid="s1"), True),
    ("sid", "s1", verified(sub="ann", sid="s2"), False),
    ("sid", "s1", verified(sub="ann"), False),
    ("sid", "s1", verified(sub="ann", sid=["s1"]), False),
    ("jti", "t1", verified(sub="ann", jti="t1"), True),
    ("jti", "t1", verified(sub="ann", jti="t2"), False),
    ("jti", "1", verified(sub="ann", jti=1), False),
    ("sub_without_sid", "ann", verified(sub="ann"), True),
    ("sub_without_sid", "ann", verified(sub="ann", sid="s2"), False),
    ("sub_without_sid", "ann", verified(sub="ann", sid=None), True),
    ("sub_without_sid", "ann", verified(sub="ann", sid=7), True),
    ("all", "", verified(sub="anybody"), True),
]


@pytest.mark.parametrize(("kind", "value", "token", "reached"), CASES)
def test_what_names_a_token(kind: RevocationKind, value: str, token: Verified, reached: bool) -> None:
    one = revocation(kind, value)
    assert one.covers(token, ISS) is reached
    assert (kept(one).find_covering(token, ISS) is not None) is reached


@pytest.mark.parametrize(
    ("iat", "reached"), [(NOW - 5000, True), (NOW, True), (NOW + 0.5, False), (NOW + 1, False)]
)
@pytest.mark.parametrize("kind", ["sub", "all"])
def test_it_reaches_what_was_issued_until_then(kind: RevocationKind, iat: float, reached: bool) -> None:
    one = revocation(kind, "ann" if kind == "sub" else "")
    assert (kept(one).find_covering(verified(iat, sub="ann"), ISS) is not None) is reached


@pytest.mark.parametrize("before", [0.0, NOW - 5000, NOW])
@pytest.mark.parametrize(
    ("kind", "value"), [("sub", "ann"), ("jti", "t1"), ("sid", "s1"), ("all", "")], ids=lambda part: part
)
def test_a_token_without_iat_is_older_than_every_revocation_that_names_it(
    kind: RevocationKind, value: str, before: float
) -> None:
    one = revocation(kind, value, before)
    ann, bob = verified(None, sub="ann", jti="t1", sid="s1"), verified(None, sub="bob", jti="t2", sid="s2")
    assert one.covers(ann, ISS)
    assert kept(one).find_covering(ann, ISS) == one
    assert (kept(one).find_covering(bob, ISS) is not None) is (kind == "all")
    assert kept(one).find_covering(ann, OTHER) is None


def test_it_is_of_one_issuer() -> None:
    assert kept(revocation("sub", "ann")).find_covering(verified(sub="ann"), OTHER) is None


def test_of_two_of_one_name_the_later_counts_in_either_order() -> None:
    early, late = revocation("sub", "ann", NOW - 10), revocation("sub", "ann", NOW, code=Code.REVOKED)
    for known in (kept(early, late), kept(late, early)):
        assert len(known) == 1
        found = known.find_covering(verified(NOW, sub="ann"), ISS)
        assert found is not None
        assert found.code is Code.REVOKED


@pytest.mark.parametrize("code", [code for code in Code if code not in {Code.LOGGED_OUT, Code.REVOKED}])
def test_no_other_code_is_taken(code: Code) -> None:
    with pytest.raises(ValueError, match="code"):
        revocation("sub", "ann", code=code)


def test_it_shows_nobody() -> None:
    assert repr(revocation("sub", "ann")) == "Revocation(kind='sub', before=1800000000.0, code='logged_out')"


# --- how long and how many --------------------------------------------------------------------------------------


def test_it_is_kept_until_no_token_of_then_can_live() -> None:
    known = kept(revocation("sub", "ann"))
    known.expire(NOW + AGE + MARGIN)
    assert len(known) == 1
    known.expire(NOW + AGE + MARGIN + 1)
    assert len(known) == 0


def test_a_longer_age_of_a_reload_keeps_it_longer() -> None:
    known = kept(revocation("sub", "ann"))
    known.keep_for(2 * AGE)
    known.keep_for(AGE)
    known.expire(NOW + 2 * AGE + MARGIN)
    assert len(known) == 1


def test_a_floor_for_tokens_without_iat_lasts_as_long_as_what_it_replaced() -> None:
    """`before` may lie far back, and such a token is revoked all the same."""
    early = [revocation("sub", f"user-{n}", NOW - 9 * AGE, at=NOW + n) for n in range(3)]
    known = kept(*early, capacity=1)
    known.expire(NOW + 1 + AGE + MARGIN)
    assert known.find_covering(verified(None, sub="user-0"), ISS) is not None
    known.expire(NOW + 1 + AGE + MARGIN + 1)
    assert known.find_covering(verified(None, sub="user-0"), ISS) is None


def test_where_there_are_too_many_the_oldest_become_a_floor() -> None:
    known = kept(*(revocation("sub", f"user-{n}", NOW + n) for n in range(5)), capacity=3)
    assert len(known) == 4
    assert known.find_covering(verified(NOW + 1, sub="stranger"), ISS) is not None
    assert known.find_covering(verified(NOW + 2, sub="stranger"), ISS) is None
    assert known.find_covering(verified(NOW + 1, sub="stranger"), OTHER) is None
    found = known.find_covering(verified(NOW, sub="user-0"), ISS)
    assert found is not None
    assert (found.kind, found.value, found.code) == ("all", "", Code.REVOKED)
    known.expire(NOW + 1 + AGE + MARGIN + 1)
    assert known.find_covering(verified(NOW, sub="stranger"), ISS) is None


names = st.sampled_from(["a", "b", "c"])
times = st.integers(0, 8).map(lambda step: NOW + step)
revocations = st.builds(
    Revocation,
    issuer=st.sampled_from([ISS, OTHER]),
    kind=st.sampled_from(["sub", "sid", "jti", "sub_without_sid", "all"]),
    value=names,
    before=times,
    code=st.sampled_from([Code.LOGGED_OUT, Code.REVOKED]),
    at=times,
)
tokens = st.builds(
    lambda iat, subject, claims: verified(iat, subject, **claims),
    st.none() | times,
    st.none() | names,
    st.fixed_dictionaries({"sub": names}, optional={"sid": names | st.integers(), "jti": names | st.none()}),
)


def _without_at(one: Revocation) -> Revocation:
    return msgspec.structs.replace(one, at=0.0)


@given(st.lists(revocations, max_size=12), tokens)
def test_it_means_what_a_list_of_all_would_mean(all_of_them: list[Revocation], token: Verified) -> None:
    known = kept(*all_of_them)
    for issuer in (ISS, OTHER):
        covering = [one for one in all_of_them if one.covers(token, issuer)]
        found = known.find_covering(token, issuer)
        assert (found is not None) is bool(covering)
        # Of two that reach every token the later `at` counts, so that the one that is kept lasts for both.
        assert found is None or _without_at(found) in map(_without_at, covering)


@given(st.lists(revocations, max_size=12), tokens, st.integers(1, 4))
def test_forgetting_lets_no_token_in(all_of_them: list[Revocation], token: Verified, capacity: int) -> None:
    known = kept(*all_of_them, capacity=capacity)
    assert len(known) <= capacity + 2
    for issuer in (ISS, OTHER):
        if any(one.covers(token, issuer) for one in all_of_them):
            assert known.find_covering(token, issuer) is not None


@given(st.lists(revocations, max_size=12), tokens, st.floats(0, 2 * (AGE + MARGIN)))
def test_time_lets_no_living_token_in(all_of_them: list[Revocation], token: Verified, later: float) -> None:
    known = kept(*all_of_them)
    now = NOW + later
    known.expire(now)
    if now < token.ends_at:
        for issuer in (ISS, OTHER):
            naive = any(one.covers(token, issuer) for one in all_of_them)
            assert (known.find_covering(token, issuer) is not None) is naive


@given(st.lists(revocations, max_size=12), tokens, st.integers(1, 12))
def test_what_is_kept_means_the_same_after_a_restart(
    all_of_them: list[Revocation], token: Verified, capacity: int
) -> None:
    before = kept(*all_of_them, capacity=capacity)
    after = kept(*before.list_all(), capacity=capacity)
    assert after.list_all() == before.list_all()
    for issuer in (ISS, OTHER):
        assert (after.find_covering(token, issuer) is None) is (before.find_covering(token, issuer) is None)
