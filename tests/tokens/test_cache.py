from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.problems import Span
from compartmentd.tokens import cache as module
from compartmentd.tokens.cache import TokenCache
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.verify import Rejected, Verified, verify
from tests.tokens.forge import NOW, SECRET, entry, keys_of, secret_set, token


class Counting:
    """A memory, and how many tokens were really verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capacity: int = 10) -> None:
        self.memory = TokenCache(capacity)
        self.verified = 0
        monkeypatch.setattr(module, "verify", self._verify)

    def _verify(self, *arguments: Any) -> Verified | Rejected:
        self.verified += 1
        return verify(*arguments)

    def ask(self, text: str, keys: KeySet, now: float = NOW, use: Any = "connect", accept: Any = None) -> Any:
        """Return the answer, which must be what verifying says, and whether it took a verification."""
        before = self.verified
        answer = self.memory.verify(text, keys, use, now, accept)
        assert answer == verify(text, keys, use, now, accept)
        return answer, self.verified > before


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


def test_a_token_is_verified_once(counting: Counting) -> None:
    first, worked = counting.ask(token(), secret_set())
    assert worked
    again, worked = counting.ask(token(), secret_set(), now=NOW + 300)
    assert not worked
    assert again is first


def test_a_refused_token_is_not_remembered(counting: Counting) -> None:
    for _ in range(2):
        assert counting.ask(token(aud="x"), secret_set())[1]
    assert len(counting.memory) == 0


def test_it_is_forgotten_when_it_ends(counting: Counting) -> None:
    keys = secret_set(max_age=100.0)
    counting.ask(token(), keys)
    assert counting.ask(token(), keys, now=NOW + 39.9)[1] is False
    answer, worked = counting.ask(token(), keys, now=NOW + 40)
    assert worked
    assert answer.code is Code.TOKEN_EXPIRED
    assert len(counting.memory) == 0


def test_a_removed_key_or_entry_ends_it(counting: Counting) -> None:
    who = entry(kind="secret_file")
    for keys in (KeySet.build([who], keys_of(who, SECRET[::-1])), KeySet.build([who]), KeySet.build()):
        counting.ask(token(), secret_set())
        answer, worked = counting.ask(token(), keys)
        assert worked
        assert isinstance(answer, Rejected)
        assert len(counting.memory) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"audience": ("x",)},
        {"audience": ("realtime", "x")},
        {"issuer": "https://new.example.com"},
        {"max_age": 61.0},
        {"leeway": 0.0},
        {"types": ("at+jwt",)},
        {"require": {"v": True}},
        {"subject": "oid"},
        {"use": ("connect", "api")},
        {"algorithms": ("HS512",)},
        {"name": "renamed", "issuer": "https://corp.example.com"},
    ],
)
def test_a_changed_entry_ends_it(counting: Counting, settings: dict[str, Any]) -> None:
    counting.ask(token(v=1), secret_set(require={"v": 1}))
    assert counting.ask(token(v=1), secret_set(**{"require": {"v": 1}, **settings}))[1]


def test_an_entry_that_only_moved_in_its_file_changes_nothing(counting: Counting) -> None:
    counting.ask(token(), secret_set())
    assert not counting.ask(token(), secret_set(span=Span("compartments.yaml", 99, 1, 99, 9)))[1]


def test_a_new_key_beside_the_old_one_changes_nothing(counting: Counting) -> None:
    who = entry(kind="secret_file")
    counting.ask(token(), secret_set())
    assert not counting.ask(token(), KeySet.build([who], keys_of(who, SECRET[::-1]) + keys_of(who, SECRET)))[
        1
    ]


def test_another_use_or_namespace_is_asked_anew(counting: Counting) -> None:
    keys = secret_set(use=("connect", "admin"))
    counting.ask(token(), keys)
    assert not counting.ask(token(), keys, use="admin")[1], "both uses are listed, so one answer serves both"
    answer, worked = counting.ask(token(), keys, use="api")
    assert worked
    assert answer.reason == "not_for_this_use"
    assert not counting.ask(token(), keys, accept=(EntryName("corp"),))[1]
    answer, worked = counting.ask(token(), keys, accept=())
    assert worked
    assert answer.reason == "not_accepted_here"
    assert not counting.ask(token(), keys)[1], "a refusal for another use forgets nothing"


def test_another_spelling_is_another_token(counting: Counting) -> None:
    counting.ask(token(), secret_set())
    for text in (token() + "=", token() + "\n", " " + token(), token()[:-1], token() + "\ud800"):
        assert isinstance(counting.ask(text, secret_set())[0], Rejected)


def test_it_is_bounded_and_forgets_what_was_not_used_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    counting, keys = Counting(monkeypatch, capacity=2), secret_set()
    one, two, three = (token(sub=name) for name in ("one", "two", "three"))
    for text in (one, two, one, three):
        counting.ask(text, keys)
    assert len(counting.memory) == 2
    assert not counting.ask(one, keys)[1]
    assert not counting.ask(three, keys)[1]
    assert counting.ask(two, keys)[1]


def test_a_giant_is_refused_unhashed(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sha256", None)
    assert counting.ask("x" * 50_000_000, secret_set())[0].reason == "too_long"


def test_it_holds_no_token() -> None:
    memory = TokenCache(4)
    memory.verify(token(), secret_set(), "connect", NOW)
    held = repr(memory._tokens)
    assert all(part not in held for part in token().split("."))


SETS = [
    secret_set(),
    secret_set(use=("connect", "api")),
    secret_set(audience=("x",)),
    secret_set(max_age=100.0),
    KeySet.build([entry(kind="secret_file")]),
    KeySet.build(),
]
TEXTS = [token(), token(aud="x"), token(exp=NOW + 30), token(sub="bob", aud=["x", "realtime"]), "x"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(TEXTS),
            st.sampled_from(SETS),
            st.sampled_from(["connect", "api"]),
            st.sampled_from([0, 29, 30, 40, 600]),
            st.sampled_from([None, (), ("corp",)]),
        )
    )
)
def test_it_always_answers_what_verifying_would(steps: list[Any]) -> None:
    memory = TokenCache(2)
    for text, keys, use, later, accept in steps:
        assert memory.verify(text, keys, use, NOW + later, accept) == verify(
            text, keys, use, NOW + later, accept
        )
        assert len(memory) <= 2
