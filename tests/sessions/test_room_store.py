"""The contract of every `RoomStore`; another implementation is another entry of `STORES`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from compartmentd.names import NamespaceName, RoomName
from compartmentd.sessions.room_store import MemoryRoomStore, RoomKey, RoomStore
from tests.support.world import HandClock

STORES: dict[str, Callable[[HandClock], RoomStore]] = {
    "memory": lambda clock: MemoryRoomStore(clock.monotonic),
}
KEYS = [RoomKey(NamespaceName(space), RoomName(room)) for space in ("/", "/chat") for room in ("a", "b")]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from(KEYS)),
        st.tuples(st.just("leave"), st.sampled_from(KEYS), st.sampled_from([0.0, 5.0, 60.0])),
        st.tuples(st.just("pass"), st.sampled_from([1.0, 4.9, 5.0, 60.0])),
        st.tuples(st.just("expire")),
    ),
    max_size=40,
)


@pytest.mark.parametrize("make", STORES.values(), ids=STORES.keys())
@given(history=steps)
def test_members_are_counted_and_empty_rooms_kept_for_their_time(
    make: Callable[[HandClock], RoomStore], history: list[tuple[object, ...]]
) -> None:
    clock = HandClock()
    store = make(clock)
    members: Counter[RoomKey] = Counter()
    kept: dict[RoomKey, float] = {}
    for step in history:
        match step:
            case ("enter", RoomKey() as key):
                store.enter(*key)
                members[key] += 1
                kept.pop(key, None)
            case ("leave", RoomKey() as key, float(keep)) if members[key]:
                store.leave(*key, keep)
                members[key] -= 1
                if not members[key] and keep:
                    kept[key] = clock.steady + keep
            case ("pass", float(seconds)):
                clock.advance(seconds)
            case ("expire",):
                over = {key for key, until in kept.items() if until <= clock.steady}
                assert sorted(store.expire()) == sorted(over)
                kept = {key: until for key, until in kept.items() if key not in over}
        for key in KEYS:
            assert store.count(*key) == members[key]
            assert store.is_kept(*key) == (members[key] > 0 or kept.get(key, 0.0) > clock.steady)


@pytest.mark.parametrize("make", STORES.values(), ids=STORES.keys())
def test_a_room_outlives_its_last_member(make: Callable[[HandClock], RoomStore]) -> None:
    clock = HandClock()
    store = make(clock)
    key = KEYS[0]
    store.enter(*key)
    store.leave(*key, 10.0)
    clock.advance(9.9)
    assert store.expire() in ([], ())
    assert store.is_kept(*key)
    store.enter(*key)
    clock.advance(60.0)
    assert store.expire() in ([], ())
    assert store.is_kept(*key), "it was occupied again"
    store.leave(*key, 10.0)
    clock.advance(10.0)
    assert list(store.expire()) == [key]
    assert not store.is_kept(*key)
