"""What is known of an entry's keys, by a clock that the tests move."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from compartmentd.keys.missing_kids import MISSING_FOR, REMEMBERED
from compartmentd.keys.schedule import LATEST, RELIED_ON, SPACING
from compartmentd.keys.state import KeyState
from compartmentd.tokens.key import Key
from compartmentd.tokens.rejected import KeyStatus
from tests.keys.provider import keyset
from tests.tokens import forge

NOW = 5000.0


def some_keys(*kids: str) -> tuple[Key, ...]:
    return forge.keys_of(forge.entry(), keyset(*kids))


def fetch(state: KeyState, now: float, *kids: str) -> bool:
    """Carry out a fetch that brings these keys, or fails where there are none; tell whether keys changed."""
    state.note_start(now)
    if not kids:
        return state.note_failure("no luck", now, 0.0)
    changed = state.accept(some_keys(*kids), b"")
    state.note_success(now, None, 0.0)
    return changed


@pytest.fixture
def state() -> KeyState:
    made = KeyState(NOW)
    fetch(made, NOW, "a")
    return made


def test_the_same_keys_are_no_change_in_whatever_order(state: KeyState) -> None:
    assert not fetch(state, NOW, "a")
    assert fetch(state, NOW, "a", "b")
    assert not fetch(state, NOW, "b", "a")
    assert fetch(state, NOW, "b")
    assert [key.kid for key in state.keys] == ["b"]


def test_another_key_of_the_same_name_is_a_change(state: KeyState) -> None:
    other = forge.keys_of(
        forge.entry(), forge.jwks(forge.jwk(forge.private_key("p256", "z").public_key(), kid="a"))
    )
    state.note_start(NOW)
    assert state.accept(other, b"")


@pytest.mark.parametrize(
    ("settings", "members"),
    [({"algorithms": ("RS256",)}, {}), ({"keys_name_issuers": True}, {"issuer": "https://corp.example.com"})],
)
def test_the_same_key_for_less_is_a_change(settings: dict[str, Any], members: dict[str, str]) -> None:
    jwk = forge.jwk(forge.private_key("rsa", "a").public_key(), kid="a")
    state = KeyState(NOW)
    state.accept(forge.keys_of(forge.entry(), forge.jwks(jwk)), b"")
    assert state.accept(forge.keys_of(forge.entry(**settings), forge.jwks({**jwk, **members})), b"")


def test_failures_leave_the_good_keys_for_a_day_and_not_longer(state: KeyState) -> None:
    kept = state.keys
    assert not fetch(state, NOW + RELIED_ON)
    assert state.keys is kept
    assert state.error == "no luck"
    assert fetch(state, NOW + RELIED_ON + 1)
    assert state.keys == ()
    assert not fetch(state, NOW + RELIED_ON + 2)
    assert fetch(state, NOW + RELIED_ON + 3, "a")
    assert state.error is None


def test_an_unknown_key_is_pending_then_known(state: KeyState) -> None:
    later = NOW + SPACING
    assert state.request_key("b", later) is KeyStatus.PENDING
    assert state.schedule.seconds_left(later) == 0
    fetch(state, later, "a", "b")
    assert [key.kid for key in state.keys] == ["a", "b"]


def test_an_unknown_key_is_pending_then_absent_then_asked_for_again(state: KeyState) -> None:
    later = NOW + SPACING
    assert state.request_key("b", later) is KeyStatus.PENDING
    fetch(state, later, "a")
    assert state.request_key("b", later) is KeyStatus.ABSENT
    assert state.request_key("b", later + MISSING_FOR) is KeyStatus.PENDING


def test_a_key_that_a_fetch_no_longer_brings_is_missing(state: KeyState) -> None:
    later = NOW + SPACING
    fetch(state, later, "b")
    assert state.request_key("a", later + 1) is KeyStatus.ABSENT, "it was there before, and is withdrawn"
    assert state.request_key("a", later + MISSING_FOR) is KeyStatus.PENDING


def test_within_the_spacing_nothing_is_a_verdict_on_what_was_not_looked_for_and_the_next_fetch_comes_soon(
    state: KeyState,
) -> None:
    state.request_key("b", NOW)
    fetch(state, NOW, "a")
    assert state.request_key("b", NOW + 1) is KeyStatus.ABSENT
    assert state.request_key("c", NOW + 1) is KeyStatus.LATER
    assert state.request_key("a", NOW + 1) is KeyStatus.ABSENT, "it is there, and did not sign the token"
    assert state.schedule.seconds_left(NOW + 1) == SPACING - 1
    fetch(state, NOW + SPACING, "a", "c")
    assert [key.kid for key in state.keys] == ["a", "c"]


@pytest.mark.parametrize(
    ("kid", "asked"),
    [("b", KeyStatus.LATER), ("c", KeyStatus.LATER), ("a", KeyStatus.ABSENT), (None, KeyStatus.ABSENT)],
)
def test_a_failed_fetch_is_a_verdict_on_known_keys_alone(
    state: KeyState, kid: str | None, asked: KeyStatus
) -> None:
    """A signature that no key of a known name made is bad, whether the provider can be reached or not."""
    state.request_key("b", NOW)
    fetch(state, NOW)
    assert state.request_key(kid, NOW + 1) is asked
    assert state.schedule.seconds_left(NOW + 1) == SPACING - 1


def test_all_who_ask_while_a_fetch_runs_share_it(state: KeyState) -> None:
    later = NOW + SPACING
    state.request_key("b", later)
    state.note_start(later)
    assert {state.request_key(f"kid {number}", later) for number in range(100)} == {KeyStatus.PENDING}
    assert state.fetches == 2


def test_a_hundred_thousand_invented_names_cause_one_fetch_in_the_spacing(state: KeyState) -> None:
    """In a minute of them, known keys are never touched, and memory stays within bounds."""
    begun = []
    kept = state.keys
    for number in range(100_000):
        now = NOW + number * 60 / 100_000
        state.request_key(f"invented {number}", now)
        if state.schedule.seconds_left(now) == 0:
            begun.append(now)
            fetch(state, now, "a")
    assert len(begun) == 6
    assert all(after - before >= SPACING for before, after in pairwise(begun))
    assert state.keys is kept
    assert len(state.missing_kids) <= 3 * REMEMBERED
    assert state.unknown_kids == 100_000


def test_without_anybody_asking_it_is_fetched_anew_in_time(state: KeyState) -> None:
    assert state.schedule.seconds_left(NOW) == LATEST
