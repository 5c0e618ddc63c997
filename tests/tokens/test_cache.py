from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.names import EntryName
from compartmentd.policy.codes import Code
from compartmentd.problems import Span
from compartmentd.tokens import cache as module
from compartmentd.tokens.cache import TokenCache
from compartmentd.tokens.jws import MAX_TOKEN
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.verify import Rejected, Verified, verify
from tests.tokens.forge import (
    NOW,
    SECRET,
    claims,
    entry,
    jwk,
    jwks,
    keys_of,
    private_key,
    secret_set,
    sign,
    token,
)


class Counting:
    """A memory, and how many tokens were really verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, budget: int = 1 << 20) -> None:
        self.memory = TokenCache(budget)
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


def test_a_key_that_is_for_another_algorithm_now_ends_it(counting: Counting) -> None:
    who, key = entry(algorithms=("RS256", "PS256")), private_key("rsa")
    text = sign({"alg": "RS256", "typ": "JWT", "kid": "k"}, claims(), "RS256", key)

    def build_keys(algorithm: str) -> KeySet:
        return KeySet.build([who], keys_of(who, jwks(jwk(key.public_key(), kid="k", alg=algorithm))))

    assert isinstance(counting.ask(text, build_keys("RS256"))[0], Verified)
    assert not counting.ask(text, build_keys("RS256"))[1]
    assert isinstance(counting.ask(text, build_keys("PS256"))[0], Rejected)


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


def _measure_one(text: str) -> int:
    memory = TokenCache(1 << 20)
    memory.verify(text, secret_set(), "connect", NOW)
    return memory.bytes


def test_it_is_bounded_and_forgets_what_was_not_used_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (token(sub=name) for name in ("one", "two", "six"))
    counting, keys = Counting(monkeypatch, 5 * _measure_one(one) // 2), secret_set()
    for text in (one, two, one, three):
        counting.ask(text, keys)
    assert len(counting.memory) == 2
    assert counting.memory.bytes == 2 * _measure_one(one)
    assert counting.memory.crowded_out == 1
    assert not counting.ask(one, keys)[1]
    assert not counting.ask(three, keys)[1]
    assert counting.ask(two, keys)[1]


def test_a_full_cache_drops_a_part_of_its_oldest_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [token(sub=f"{n:03}") for n in range(300)]
    counting, keys = Counting(monkeypatch, 256 * _measure_one(texts[0])), secret_set()
    sizes = []
    for text in texts:
        counting.ask(text, keys)
        sizes.append(len(counting.memory))
    assert max(sizes) == 256
    assert min(sizes[256:]) == 252
    assert sizes[-1] + counting.memory.crowded_out == 300
    for text in texts[-sizes[-1] :]:
        assert not counting.ask(text, keys)[1]


def test_a_large_token_takes_the_room_of_many_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = [token(sub=f"{n}") for n in range(10)], token(groups=[f"group-{n}" for n in range(80)])
    counting, keys = Counting(monkeypatch, 10 * _measure_one(small[0])), secret_set()
    for text in (*small, large):
        counting.ask(text, keys)
    left = len(counting.memory)
    assert 1 < left < 8
    assert counting.memory.bytes <= counting.memory.budget
    for text in (large, *small[:-left:-1]):
        assert not counting.ask(text, keys)[1]


def test_a_token_that_is_larger_than_the_budget_is_not_remembered(counting: Counting) -> None:
    counting.memory.budget = _measure_one(token()) - 1
    for _ in range(2):
        assert counting.ask(token(), secret_set())[1]
    assert (len(counting.memory), counting.memory.bytes) == (0, 0)
    counting.memory.budget += 1
    counting.ask(token(), secret_set())
    assert not counting.ask(token(), secret_set())[1]
    assert counting.ask(token(groups=["x" * 4000]), secret_set())[1]
    assert not counting.ask(token(), secret_set())[1]
    assert counting.memory.crowded_out == 0


def test_ended_tokens_are_dropped_unasked_within_a_minute() -> None:
    memory, keys = TokenCache(1 << 20), secret_set()
    for number in range(10):
        memory.verify(token(sub=f"{number}", exp=NOW + 30 * number + 1), keys, "connect", NOW)
    assert len(memory) == 10
    for later in range(0, 400, 7):
        memory.expire(keys, NOW + later)
        alive = sum(30 * number + 1 > later for number in range(10))
        barely = sum(30 * number + 1 > later - 60 for number in range(10))
        assert alive <= len(memory) <= barely
        assert len(memory) + memory.expired == 10
    assert (len(memory), memory.bytes) == (0, 0)
    assert not memory._ending


def test_tokens_of_a_withdrawn_key_or_entry_are_dropped_unasked() -> None:
    memory, keys, who = TokenCache(1 << 22), secret_set(), entry(kind="secret_file")
    texts = [token(sub=f"{n}") for n in range(1500)]
    for text in texts:
        memory.verify(text, keys, "connect", NOW)
    memory.expire(keys, NOW)
    memory.expire(KeySet.build([who], keys_of(who, SECRET) + keys_of(who, SECRET[::-1])), NOW)
    memory.expire(secret_set(), NOW)
    assert len(memory) == 1500
    without = KeySet.build([who], keys_of(who, SECRET[::-1]))
    memory.expire(without, NOW)
    assert len(memory) == 500
    memory.expire(without, NOW)
    assert (len(memory), memory.bytes, memory.withdrawn) == (0, 0, 1500)


@pytest.mark.parametrize("jump", [-5_000_000.0, 0.0, 5_000_000.0])
def test_a_clock_that_was_wrong_once_keeps_no_token_for_ever(jump: float) -> None:
    memory, keys = TokenCache(1 << 20), secret_set()
    memory.expire(keys, NOW + jump)
    memory.verify(token(exp=NOW + 100), keys, "connect", NOW)
    for later in range(0, 200, 10):
        memory.expire(keys, NOW + later)
    assert len(memory) == 0


def test_a_token_is_dropped_as_soon_as_its_minute_is_over() -> None:
    memory, keys = TokenCache(1 << 20), secret_set()
    over = (int(NOW + 30) // module.PERIOD + 1) * module.PERIOD
    memory.verify(token(exp=NOW + 30), keys, "connect", NOW)
    memory.expire(keys, over - 0.001)
    assert len(memory) == 1
    memory.expire(keys, over)
    assert len(memory) == 0


def test_the_number_that_is_dropped_at_once_counts_over_all_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 4)
    memory, keys = TokenCache(1 << 20), secret_set()
    for number, minute in enumerate((0, 0, 5, 5, 5)):
        memory.verify(token(sub=f"{number}", exp=NOW + 60 * minute + 1), keys, "connect", NOW)
    memory.expire(keys, NOW + 500)
    assert (len(memory), memory.expired) == (1, 4)
    memory.expire(keys, NOW + 500)
    assert (len(memory), memory.expired) == (0, 5)


def test_what_was_found_and_what_was_verified_is_counted() -> None:
    memory, keys = TokenCache(1 << 20), secret_set()
    for text, hits, misses in (
        (token(sub="a"), 0, 1),
        (token(sub="a"), 1, 1),
        (token(sub="a"), 2, 1),
        (token(sub="b"), 2, 2),
        (token(aud="x"), 2, 3),
        ("x" * (MAX_TOKEN + 1), 2, 3),
    ):
        memory.verify(text, keys, "connect", NOW)
        assert (memory.hits, memory.misses) == (hits, misses)


def test_many_that_end_at_once_are_dropped_a_thousand_at_a_time() -> None:
    memory, keys = TokenCache(1 << 22), secret_set()
    for number in range(1500):
        memory.verify(token(sub=f"{number}"), keys, "connect", NOW)
    assert len(memory) == 1500
    memory.expire(keys, NOW + 86400)
    assert len(memory) == 500
    memory.expire(keys, NOW + 86400)
    assert (len(memory), memory.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "claims"),
    [
        ("small", {}),
        ("strings", {"text": "x" * 8000}),
        ("wide text", {"text": "\N{SNOWMAN}" * 500, "more": "\N{GRINNING FACE}" * 400}),
        ("list", {"groups": [f"{n:036x}" for n in range(150)]}),
        ("empty lists", {"groups": [[] for _ in range(2500)]}),
        ("objects", {"projects": {f"project-{n:030x}": "owner" for n in range(100)}}),
        ("numbers", {"at": [n + 0.5 for n in range(900)]}),
    ],
)
@pytest.mark.parametrize("named", [None, frozenset[str]()])
def test_what_is_counted_is_what_is_allocated(
    kind: str, claims: dict[str, Any], named: frozenset[str] | None
) -> None:
    del kind
    memory, keys, count = TokenCache(1 << 30), secret_set(), 60
    texts = [token(sub=f"guest{n}", nonce=f"{n}", **claims) for n in range(count)]
    memory.verify(token(**claims), keys, "connect", NOW, named=named)
    gc.collect()
    counted = memory.bytes
    tracemalloc.start()
    try:
        for text in texts:
            memory.verify(text, keys, "connect", NOW, named=named)
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.7 < (memory.bytes - counted) / allocated < 1.5


def test_a_token_is_packed_anew_for_a_policy_that_names_other_claims(counting: Counting) -> None:
    keys, text = secret_set(), token(groups=[f"group-{n}" for n in range(99)], more=["x" * 2000])
    plain = verify(text, keys, "connect", NOW)
    sizes: list[int] = []
    for names in (["groups"], [], ["more"]):
        named = frozenset(names)
        found = counting.memory.verify(text, keys, "connect", NOW, named=named)
        assert found == plain
        assert isinstance(found, Verified)
        sizes.append(counting.memory.bytes)
    unpacked = counting.memory.verify(text, keys, "connect", NOW)
    assert isinstance(unpacked, Verified)
    assert type(unpacked.claims) is dict
    assert unpacked == plain
    assert counting.verified == 1
    assert len(counting.memory) == 1
    assert sizes[1] < min(sizes[0], sizes[2])
    assert counting.memory.bytes > max(sizes)


def test_a_giant_is_refused_unhashed(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sha256", None)
    assert counting.ask("x" * 50_000_000, secret_set())[0].reason == "too_long"


def test_it_holds_no_token() -> None:
    memory = TokenCache(1 << 20)
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
    ),
    st.sampled_from([0, 1000, 2000, 10_000]),
)
def test_it_always_answers_what_verifying_would(steps: list[Any], budget: int) -> None:
    memory = TokenCache(budget)
    for text, keys, use, later, accept in steps:
        assert memory.verify(text, keys, use, NOW + later, accept) == verify(
            text, keys, use, NOW + later, accept
        )
        memory.expire(keys, NOW + later - 60)
        assert memory.bytes <= budget
        assert bool(memory.bytes) == bool(len(memory))
