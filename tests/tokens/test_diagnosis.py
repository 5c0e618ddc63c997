"""A diagnosis says what `verify` says, and goes on where that stops."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.tokens.claims import CLAIM_CHECKS
from compartmentd.tokens.diagnosis import PASSED, Diagnosis, Finding, diagnose
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.steps import STEPS
from compartmentd.tokens.verify import Verified, verify
from tests.tokens.forge import NOW, SECRET, claims, encode, entry, secret_set, sign, token

KEYS = secret_set()


def outcomes(text: str, keys: KeySet = KEYS) -> dict[str, str]:
    return {finding.check: finding.outcome for finding in diagnose(text, keys, "connect", NOW).findings}


def failed(text: str, keys: KeySet = KEYS) -> list[Finding]:
    return [
        finding for finding in diagnose(text, keys, "connect", NOW).findings if finding.outcome == "failed"
    ]


def test_steps_need_only_what_stands_before_them() -> None:
    before: set[str] = set()
    for step in STEPS:
        assert set(step.needs) <= before, step.name
        assert step.name not in before
        before.add(step.name)
    assert {check.name for check in CLAIM_CHECKS} < before


def test_every_step_has_words_for_when_it_passes() -> None:
    assert list(PASSED) == [step.name for step in STEPS]


def test_a_good_token_passes_all() -> None:
    diagnosis = diagnose(token(), KEYS, "connect", NOW)
    assert {finding.outcome for finding in diagnosis.findings} == {"passed"}
    assert isinstance(diagnosis.verdict, Verified)
    assert diagnosis.entry is not None
    assert "alice" not in repr(diagnosis)


FOREIGN = sign({"alg": "HS256"}, claims(), key=SECRET[::-1])


@pytest.mark.parametrize(
    ("text", "reasons", "skipped"),
    [
        ("opaque", {"form": "not_a_jwt"}, {step.name for step in STEPS[1:]}),
        (sign({}, claims()), {"header": "bad_header"}, None),
        (sign({"alg": "HS256"}, b"[]"), {"payload": "bad_payload"}, None),
        (token(iss="https://other.example"), {"issuer": "unknown_issuer"}, None),
        (FOREIGN, {"signature": "bad_signature"}, set()),
        (sign({"alg": "RS256"}, claims()), {"key": "wrong_algorithm"}, {"signature"}),
        (token({"typ": "x"}), {"typ": "wrong_type"}, set()),
        (token(exp=...), {"dates": "bad_time"}, {"begun", "end"}),
        (token(iat=int(NOW) + 99), {"begun": "not_yet_valid"}, set()),
        (token(exp=int(NOW)), {"end": "expired"}, set()),
        (token(aud="account"), {"audience": "wrong_audience"}, set()),
        (token(sub=5.5), {"subject": "bad_subject"}, set()),
        (
            token({"typ": "x"}, aud="account", sub="", exp=int(NOW) - 1),
            {"typ": "wrong_type", "end": "expired", "audience": "wrong_audience", "subject": "bad_subject"},
            set(),
        ),
    ],
    ids=range(13),
)
def test_every_mistake_is_found_at_once(text: str, reasons: dict[str, str], skipped: set[str] | None) -> None:
    assert {finding.check: finding.reason for finding in failed(text)} == reasons
    left_out = {name for name, outcome in outcomes(text).items() if outcome == "skipped"}
    if skipped is None:
        needing = set(reasons)
        for step in STEPS:
            if needing.intersection(step.needs):
                needing.add(step.name)
        skipped = needing - set(reasons)
    assert left_out == skipped


def test_what_is_not_looked_at_says_why() -> None:
    assert diagnose("opaque", KEYS, "connect", NOW).findings[3].detail == "skipped: it needs payload"


def test_a_use_that_the_entry_does_not_list() -> None:
    diagnosis = diagnose(token(), KEYS, "admin", NOW)
    assert [finding.check for finding in diagnosis.findings if finding.outcome == "failed"] == ["use"]
    assert diagnosis.verdict == verify(token(), KEYS, "admin", NOW)


def test_an_entry_without_keys() -> None:
    diagnosis = diagnose(token(), KeySet.build([entry(kind="secret_file")]), "connect", NOW)
    assert [finding.check for finding in diagnosis.findings if finding.outcome != "passed"] == [
        "key",
        "signature",
    ]


def same_as_verify(diagnosis: Diagnosis, text: str) -> None:
    assert diagnosis.verdict == verify(text, KEYS, "connect", NOW)
    passed = all(finding.outcome == "passed" for finding in diagnosis.findings)
    assert passed is isinstance(diagnosis.verdict, Verified)


@given(st.text(max_size=60) | st.text("ab.=_-", max_size=30))
def test_any_text_gets_the_verdict_of_verify(text: str) -> None:
    same_as_verify(diagnose(text, KEYS, "connect", NOW), text)


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [..., None, True, 0, -1, NOW, 1e300, "", "realtime", "alice", "ID", [], ["realtime", 1], {}, {"a": "b"}]
)


@given(
    header=st.dictionaries(st.sampled_from(["typ", "kid", "crit", "alg"]), VALUES, max_size=2),
    changed=st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "iat", "exp", "nbf", "nonce", "events", "tid"]),
        VALUES,
        max_size=3,
    ),
)
def test_any_claims_get_the_verdict_of_verify(header: dict[str, Any], changed: dict[str, Any]) -> None:
    members = {name: value for name, value in {"alg": "HS256", **header}.items() if value is not ...}
    text = sign(members, claims(**changed))
    same_as_verify(diagnose(text, KEYS, "connect", NOW), text)


def test_lone_surrogates_get_the_verdict_of_verify() -> None:
    text = f"{encode(json.dumps({'alg': 'HS256'}).encode())}.\ud800.x"
    same_as_verify(diagnose(text, KEYS, "connect", NOW), text)
