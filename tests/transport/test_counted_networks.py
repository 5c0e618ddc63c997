"""By which network an address is limited, and which addresses are not."""

from __future__ import annotations

import pytest

from compartmentd.transport.counted_networks import CountedNetworks
from compartmentd.transport.options import ServerOptions

BY_DEFAULT = ServerOptions(limits_loopback=False, trusted_proxies=("10.0.0.0/8", "2001:db8:ffff::/48"))
CHOSEN = ServerOptions(limits_loopback=True, trusted_proxies=("127.0.0.0/8",))


@pytest.mark.parametrize(
    ("options", "address", "network"),
    [
        pytest.param(BY_DEFAULT, "192.0.2.1", "192.0.2.1", id="IPv4"),
        pytest.param(BY_DEFAULT, "::ffff:192.0.2.1", "192.0.2.1", id="IPv4 as IPv6"),
        pytest.param(BY_DEFAULT, "2001:db8:1:2::1", "20010db800010002", id="IPv6"),
        pytest.param(BY_DEFAULT, "2001:db8:1:2:ffff::9", "20010db800010002", id="the same /64"),
        pytest.param(BY_DEFAULT, "2001:db8:1:3::1", "20010db800010003", id="the next /64"),
        pytest.param(BY_DEFAULT, "fe80::1%eth0", "fe80000000000000", id="with an interface"),
        pytest.param(BY_DEFAULT, "", "", id="a unix socket"),
        pytest.param(BY_DEFAULT, "127.0.0.1", "", id="loopback"),
        pytest.param(BY_DEFAULT, "::1", "", id="loopback of IPv6"),
        pytest.param(BY_DEFAULT, "10.1.2.3", "", id="a trusted proxy"),
        pytest.param(BY_DEFAULT, "2001:db8:ffff::5", "", id="a trusted proxy of IPv6"),
        pytest.param(CHOSEN, "::1", "0000000000000000", id="loopback where the limit is chosen"),
        pytest.param(CHOSEN, "127.0.0.1", "", id="a trusted proxy on loopback where the limit is chosen"),
        pytest.param(CHOSEN, "10.1.2.3", "10.1.2.3", id="no proxy"),
    ],
)
def test_an_address_is_counted_by(options: ServerOptions, address: str, network: str) -> None:
    assert CountedNetworks(options).find(address) == network


def test_changed_options_count_from_then_on() -> None:
    networks = CountedNetworks(BY_DEFAULT)
    networks.configure(CHOSEN)
    assert [networks.find(address) for address in ("10.1.2.3", "127.0.0.1")] == ["10.1.2.3", ""]
