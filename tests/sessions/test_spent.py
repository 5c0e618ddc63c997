"""The store of what was taken is bounded, and sheds what is full first."""

from __future__ import annotations

from hypothesis import given, strategies as st

from compartmentd.names import EntryName, NamespaceName, Subject
from compartmentd.sessions.spent import RateKey, SpentRates


def key(number: int) -> RateKey:
    return RateKey(NamespaceName("/"), Subject(EntryName("corp"), str(number)), "message_rate", "")


def test_of_one_key_the_latest_moment_counts() -> None:
    spent = SpentRates()
    spent.keep(key(1), 100.0, 10.0)
    spent.keep(key(1), 101.0, 3.0)
    assert spent.find_refill(key(1), 101.0) == 9.0
    spent.keep(key(1), 102.0, 20.0)
    spent.expire(110.0)
    assert (len(spent), spent.find_refill(key(1), 110.0)) == (1, 12.0)
    spent.expire(122.0)
    assert (len(spent), spent.find_refill(key(1), 122.0), spent.forgotten) == (0, 0.0, 0)


def test_a_full_bucket_is_not_kept() -> None:
    spent = SpentRates()
    spent.keep(key(1), 100.0, 0.0)
    assert len(spent) == 0


def test_beyond_the_bound_the_bucket_that_is_full_first_is_forgotten_and_counted() -> None:
    spent = SpentRates(3)
    for number, refill in enumerate([30.0, 5.0, 20.0, 10.0, 40.0]):
        spent.keep(key(number), 100.0, refill)
    kept = [number for number in range(5) if spent.find_refill(key(number), 100.0)]
    assert (kept, spent.forgotten, len(spent)) == ([0, 2, 4], 2, 3)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.0, 5.0), st.floats(0.0, 60.0)), max_size=200))
def test_it_is_bounded_and_says_what_a_list_would(steps: list[tuple[int, float, float]]) -> None:
    spent, now, model = SpentRates(4), 0.0, dict[int, float]()
    for number, wait, refill in steps:
        now += wait
        spent.keep(key(number), now, refill)
        model[number] = max(model.get(number, 0.0), now + refill)
        assert len(spent) <= 4
        assert len(spent._order) <= 2 * 4 + 1
        for each, full_at in model.items():
            found = spent.find_refill(key(each), now)
            assert found <= max(0.0, full_at - now), "never more than was taken"
    if not spent.forgotten:
        assert all(
            abs(spent.find_refill(key(each), now) - max(0.0, full_at - now)) < 0.01
            for each, full_at in model.items()
        )
