"""The network that an address belongs to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, strategies as st

from compartmentd.net.addresses import find_network


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("2001:DB8:1:2::1", "2001:0db8:0001:0002:0:0:0:1", True),
        ("::1", "::2", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:c000:201", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "::", False),
        ("", "", True),
    ],
)
def test_the_network_of_an_address(one: str, other: str, *, same: bool) -> None:
    assert (find_network(one) == find_network(other)) is same


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_all_addresses_of_a_network_are_one(network: int, first: int, second: int) -> None:
    addresses = [IPv6Address(network << 64 | host) for host in (first, second)]
    if not any(address.ipv4_mapped for address in addresses):
        assert len({find_network(text) for at in addresses for text in (at.compressed, at.exploded)}) == 1


@given(st.ip_addresses(v=4), st.ip_addresses(v=6))
def test_ipv4_and_ipv6_are_never_taken_for_each_other(four: IPv4Address, six: IPv6Address) -> None:
    assert six.ipv4_mapped or find_network(str(four)) != find_network(str(six))
