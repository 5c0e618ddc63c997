"""What is without a session, and who goes when there is too much of it."""

from __future__ import annotations

from hypothesis import given, strategies as st

from compartmentd.protocol.counters import WireCounters
from compartmentd.transport.pending import PendingItems


class Item:
    def __init__(self, pending: PendingItems, network: str, *, takes_place: bool = False) -> None:
        self.pending = pending
        self.network = network
        self.takes_place = takes_place
        self.since = 0.0
        self.gone = False

    def shed(self) -> None:
        self.gone = True
        self.pending.remove(self)  # as owners do, which do not know who closes them


def fill(pending: PendingItems, networks: str, most: int = 100) -> list[Item]:
    items = [Item(pending, network) for network in networks]
    for now, item in enumerate(items):
        pending.add(item, now, most)
    return items


def test_the_oldest_goes_when_there_are_too_many() -> None:
    counters = WireCounters()
    pending = PendingItems(counters)
    items = fill(pending, "abcd", most=3)
    assert [item.gone for item in items] == [True, False, False, False]
    assert (len(pending), counters.shed) == (3, 1)


def test_one_that_was_used_just_now_is_the_last_to_go() -> None:
    pending = PendingItems(WireCounters())
    items = fill(pending, "abc", most=3)
    pending.note_use(items[0])
    pending.add(Item(pending, "d"), 9, 3)
    assert [item.gone for item in items] == [False, True, False]


def test_one_that_has_said_nothing_goes_first() -> None:
    pending = PendingItems(WireCounters())
    items = fill(pending, "abc", most=3)
    pending.note_use(items[0])
    fill(pending, "de", most=3)
    pending.note_use(items[0])
    fill(pending, "fgh", most=3)
    assert [item.gone for item in items] == [False, True, True]


def test_one_that_has_a_session_stays() -> None:
    pending = PendingItems(WireCounters())
    items = fill(pending, "ab", most=3)
    pending.remove(items[0])
    pending.note_use(items[0])
    fill(pending, "cdef", most=3)
    assert [item.gone for item in items] == [False, True]


def test_a_network_with_more_than_its_share_pushes_out_its_own() -> None:
    pending = PendingItems(WireCounters())
    honest = fill(pending, "abc", most=10)
    flood = fill(pending, "x" * 500, most=10)
    assert not any(item.gone for item in honest)
    assert sum(item.gone for item in flood) == 493


def test_a_newcomer_of_another_network_pushes_out_the_oldest() -> None:
    pending = PendingItems(WireCounters())
    flood = fill(pending, "x" * 10, most=10)
    fill(pending, "a", most=10)
    assert [item.gone for item in flood] == [True] + [False] * 9


def test_of_a_network_the_oldest_socket_without_a_place_goes() -> None:
    pending = PendingItems(WireCounters())
    items = [Item(pending, "a", takes_place=index == 0) for index in range(3)]
    for item in items:
        pending.add(item, 0, None)
    pending.shed_socket("a")
    assert [item.gone for item in items] == [False, True, False]
    pending.shed_socket("b")


def test_a_place_is_made_by_one_that_has_it_for_long_enough() -> None:
    pending = PendingItems(WireCounters())
    items = [Item(pending, "a", takes_place=place) for place in (False, True, True)]
    for now, item in enumerate(items):
        pending.add(item, now, None)
    assert pending.shed_place(10, 1)
    assert [item.gone for item in items] == [False, True, False]
    assert not pending.shed_place(2.5, 5)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "use", "remove", "shed"])), max_size=60
    )
)
def test_what_is_counted_is_what_is_there(steps: list[tuple[str, str]]) -> None:
    pending = PendingItems(WireCounters())
    items: list[Item] = []
    for now, (network, step) in enumerate(steps):
        if step == "add":
            items.append(Item(pending, network))
            pending.add(items[-1], now, 8)
        elif step == "shed":
            pending.shed_socket(network)
        elif items:
            pending.note_use(items[0]) if step == "use" else pending.remove(items.pop(0))
    there = [item for item in items if not item.gone]
    assert len(pending) == len(there) <= 8
    for network in "abc":
        assert pending.count(network) == sum(item.network == network for item in there)
