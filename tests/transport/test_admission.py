"""Places and rates."""

from __future__ import annotations

from compartmentd.protocol.counters import WireCounters
from compartmentd.transport.admission import Admission
from compartmentd.transport.counted_networks import CountedNetworks
from compartmentd.transport.options import ServerOptions

FREE = ServerOptions(connections=None)


def test_places_are_taken_and_given_back() -> None:
    counters = WireCounters()
    admission = Admission(counters)
    options = ServerOptions(connections=2)
    assert [admission.enter("a", options, 0) is None for _ in range(3)] == [True, True, False]
    admission.leave("a")
    assert admission.enter("b", options, 0) is None
    assert admission.open == 2
    assert counters.refused_full == 1


def test_each_address_has_its_own_places() -> None:
    counters = WireCounters()
    admission = Admission(counters)
    options = ServerOptions(connections_per_address=1)
    assert admission.enter("a", options, 0) is None
    assert admission.enter("a", options, 0) is not None
    assert admission.enter("b", options, 0) is None
    admission.leave("a")
    assert admission.enter("a", options, 0) is None
    assert counters.refused_address == 1


def test_a_network_of_ipv6_is_one_address() -> None:
    counters = WireCounters()
    admission = Admission(counters)
    options = ServerOptions(connections_per_address=2)
    assert admission.enter("2001:db8:1:2::1", options, 0) is None
    assert admission.enter("2001:db8:1:2::2", options, 0) is None
    assert admission.enter("2001:db8:1:2:ffff::3", options, 0) is not None
    assert admission.enter("2001:db8:1:3::1", options, 0) is None
    admission.leave("2001:db8:1:2::1")
    assert admission.enter("2001:db8:1:2:ffff::3", options, 0) is None
    assert counters.refused_address == 1


def test_ipv4_in_the_dress_of_ipv6_is_ipv4() -> None:
    admission = Admission(WireCounters())
    options = ServerOptions(connections_per_address=1)
    assert admission.enter("192.0.2.1", options, 0) is None
    assert admission.enter("::ffff:192.0.2.1", options, 0) is not None
    assert admission.enter("::ffff:192.0.2.2", options, 0) is None


def test_a_limit_that_comes_later_counts_the_connections_from_before() -> None:
    admission = Admission(WireCounters())
    limited = ServerOptions(connections_per_address=3)
    for number in range(3):
        assert admission.enter(f"2001:db8:1:2::{number}", FREE, 0) is None
    assert admission.enter("2001:db8:1:2::9", limited, 0) is not None
    admission.leave("2001:db8:1:2::0")
    assert admission.enter("2001:db8:1:2::9", limited, 0) is None
    assert admission.enter("2001:db8:1:2::a", FREE, 0) is None, "the limit is gone again"
    for host in "129a":
        admission.leave(f"2001:db8:1:2::{host}")
    assert not admission._by_network


def test_addresses_that_are_not_counted_have_no_limit() -> None:
    admission = Admission(WireCounters(), lambda address: "" if address == "127.0.0.1" else address)
    options = ServerOptions(connections_per_address=1)
    assert all(admission.enter("127.0.0.1", options, 0) is None for _ in range(5))
    assert [admission.enter("192.0.2.1", options, 0) is None for _ in range(2)] == [True, False]


class _Holders:
    def __init__(self, ages: list[float]) -> None:
        self.ages = ages

    def shed_place(self, now: float, age: float) -> bool:
        if self.ages and now - self.ages[0] >= age:
            del self.ages[0]
            return True
        return False


def test_a_connection_without_a_session_yields_its_place() -> None:
    holders = _Holders([0.0, 9.5])
    admission = Admission(WireCounters(), pending=holders)
    options = ServerOptions(connections=2)
    for _ in range(2):
        assert admission.enter("a", options, 0) is None
    assert admission.enter("b", options, 10) is None, "that of 0.0 went"
    assert admission.enter("b", options, 10) is not None, "that of 9.5 may be on its way to a session"


def test_peers_without_an_address_share_no_limit() -> None:
    admission = Admission(WireCounters(), CountedNetworks(FREE).find)
    options = ServerOptions(connections_per_address=1)
    assert all(admission.enter("", options, 0) is None for _ in range(5))


def test_addresses_that_left_take_no_memory() -> None:
    admission = Admission(WireCounters())
    for number in range(100):
        for options in (FREE, ServerOptions(connections_per_address=1)):
            admission.enter(f"2001:db8:{number}::1", options, 0)
            admission.leave(f"2001:db8:{number}::1")
    assert not admission._by_network


def test_a_rate_holds_one_second_of_itself() -> None:
    admission = Admission(WireCounters())
    options = ServerOptions(connect_rate=10)
    assert sum(admission.enter("a", options, 100.0) is None for _ in range(30)) == 10
    assert sum(admission.enter("a", options, 100.5) is None for _ in range(30)) == 5
    assert sum(admission.enter("a", options, 200.0) is None for _ in range(30)) == 10


def test_a_slow_rate_still_lets_one_in() -> None:
    admission = Admission(WireCounters())
    options = ServerOptions(connect_rate=0.1)
    assert [admission.enter("a", options, now) is None for now in (0, 1, 9.9, 10.1, 11)] == [
        True, False, False, True, False,
    ]  # fmt: skip


def test_changed_limits_bind_the_next() -> None:
    admission = Admission(WireCounters())
    for _ in range(5):
        admission.enter("a", FREE, 0)
    refused = admission.enter("a", ServerOptions(connections=3), 0)
    assert refused is not None
    assert refused.retry_after > 0
    assert admission.open == 5
