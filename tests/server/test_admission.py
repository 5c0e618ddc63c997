"""Places and rates."""

from __future__ import annotations

from compartmentd.protocol.counters import Counters
from compartmentd.server.admission import Admission
from compartmentd.server.options import ServerOptions

FREE = ServerOptions(connections=None)


def test_places_are_taken_and_given_back():
    counters = Counters()
    admission = Admission(counters)
    options = ServerOptions(connections=2)
    assert [admission.enter("a", options, 0) is None for _ in range(3)] == [True, True, False]
    admission.leave("a")
    assert admission.enter("b", options, 0) is None
    assert admission.open == 2
    assert counters.refused_full == 1


def test_each_address_has_its_own_places():
    counters = Counters()
    admission = Admission(counters)
    options = ServerOptions(connections_per_address=1)
    assert admission.enter("a", options, 0) is None
    assert admission.enter("a", options, 0) is not None
    assert admission.enter("b", options, 0) is None
    admission.leave("a")
    assert admission.enter("a", options, 0) is None
    assert counters.refused_address == 1


def test_peers_without_an_address_share_no_limit():
    admission = Admission(Counters())
    options = ServerOptions(connections_per_address=1)
    assert all(admission.enter("", options, 0) is None for _ in range(5))


def test_addresses_that_left_take_no_memory():
    admission = Admission(Counters())
    for number in range(100):
        admission.enter(str(number), FREE, 0)
        admission.leave(str(number))
    assert not admission._by_address


def test_a_rate_holds_one_second_of_itself():
    admission = Admission(Counters())
    options = ServerOptions(connect_rate=10)
    assert sum(admission.enter("a", options, 100.0) is None for _ in range(30)) == 10
    assert sum(admission.enter("a", options, 100.5) is None for _ in range(30)) == 5
    assert sum(admission.enter("a", options, 200.0) is None for _ in range(30)) == 10


def test_a_slow_rate_still_lets_one_in():
    admission = Admission(Counters())
    options = ServerOptions(connect_rate=0.1)
    assert [admission.enter("a", options, now) is None for now in (0, 1, 9.9, 10.1, 11)] == [
        True, False, False, True, False,
    ]  # fmt: skip


def test_changed_limits_bind_the_next():
    admission = Admission(Counters())
    for _ in range(5):
        admission.enter("a", FREE, 0)
    refused = admission.enter("a", ServerOptions(connections=3), 0)
    assert refused is not None
    assert refused.retry_after > 0
    assert admission.open == 5
