"""X-Forwarded-For: believed as far as the proxies are trusted."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, strategies as st

from compartmentd.protocol.forwarded import TrustedProxies

OURS = ("10.0.0.0/8", "fd00::/8")
CLIENT = "203.0.113.9"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        # Nobody is trusted, or another one.
        ((), "10.0.0.1", [CLIENT], "10.0.0.1"),
        (OURS, "192.0.2.1", [CLIENT], "192.0.2.1"),
        (OURS, "", [CLIENT], ""),
        (("unix",), "10.0.0.1", [CLIENT], "10.0.0.1"),
        # One proxy.
        (OURS, "10.0.0.1", [CLIENT], CLIENT),
        (OURS, "10.0.0.1", [], "10.0.0.1"),
        (OURS, "fd00::1", ["2001:db8::9"], "2001:db8::9"),
        (("unix",), "", [CLIENT], CLIENT),
        (("10.0.0.1/32",), "10.0.0.1", [CLIENT], CLIENT),
        # What the client sent itself stands further left, and counts for nothing.
        (OURS, "10.0.0.1", [f"10.0.0.7, 198.51.100.1, {CLIENT}"], CLIENT),
        (OURS, "10.0.0.1", ["198.51.100.1", CLIENT], CLIENT),
        (OURS, "10.0.0.1", [f"unknown, {CLIENT}"], CLIENT),
        # Several proxies.
        (OURS, "10.0.0.1", [f"{CLIENT}, 10.0.0.2"], CLIENT),
        (OURS, "10.0.0.1", [CLIENT, "10.0.0.3,10.0.0.2"], CLIENT),
        (("unix", "10.0.0.0/8"), "", [f"{CLIENT}, 10.0.0.2"], CLIENT),
        (("unix",), "", [f"{CLIENT}, 10.0.0.2"], "10.0.0.2"),
        # A client of our own network: the list ends.
        (OURS, "10.0.0.1", ["10.0.0.9"], "10.0.0.9"),
        # Nonsense from a proxy: then it is the proxy.
        (OURS, "10.0.0.1", ["unknown"], "10.0.0.1"),
        (OURS, "10.0.0.1", [""], "10.0.0.1"),
        (OURS, "10.0.0.1", [f"{CLIENT}, _hidden, 10.0.0.2"], "10.0.0.2"),
        (OURS, "10.0.0.1", [f"{CLIENT},"], "10.0.0.1"),
        # Forms of an address.
        (OURS, "10.0.0.1", [f"{CLIENT}:4711"], CLIENT),
        (OURS, "10.0.0.1", ["[2001:db8::9]:4711"], "2001:db8::9"),
        (OURS, "10.0.0.1", ["[2001:db8::9]"], "2001:db8::9"),
        (OURS, "10.0.0.1", ["2001:DB8:0::9"], "2001:db8::9"),
        (OURS, "10.0.0.1", [f"::ffff:{CLIENT}"], CLIENT),
        (OURS, "10.0.0.1", [f"{CLIENT}, ::ffff:10.0.0.2"], CLIENT),
        (OURS, "10.0.0.1", [f"\t{CLIENT} "], CLIENT),
        (OURS, "10.0.0.1", ["203.0.113.009"], "10.0.0.1"),
    ],
)
def test_the_client(trusted: tuple[str, ...], peer: str, forwarded: list[str], client: str) -> None:
    assert TrustedProxies(trusted).find_client(peer, forwarded) == client


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="host bits"):
        TrustedProxies(["10.0.0.1/8"])


addresses = st.ip_addresses().map(str)
outsiders = st.ip_addresses(v=4).filter(lambda address: address not in _OURS).map(str)
_OURS = {ip_address(f"10.0.0.{index}") for index in range(256)}


@given(st.lists(st.text(max_size=20), max_size=5), outsiders, st.lists(st.integers(0, 255), max_size=3))
def test_nothing_that_a_client_sends_changes_its_address(
    sent: list[str], client: str, hops: list[int]
) -> None:
    proxies = TrustedProxies(["10.0.0.0/24"])
    appended = [client, *(f"10.0.0.{hop}" for hop in hops)]
    assert proxies.find_client("10.0.0.1", [*sent, ", ".join(appended)]) == client


@given(st.lists(st.text(max_size=40), max_size=5), addresses)
def test_it_never_fails(forwarded: list[str], peer: str) -> None:
    assert TrustedProxies(["0.0.0.0/0", "::/0", "unix"]).find_client(peer, forwarded)
