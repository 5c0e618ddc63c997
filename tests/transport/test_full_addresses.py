"""The line about an address that has reached its limit: how often it is written."""

from __future__ import annotations

import pytest

from compartmentd.transport.full_addresses import FullAddresses


@pytest.mark.parametrize(
    ("noted", "lines"),
    [
        pytest.param([(0, "192.0.2.1"), (1, "192.0.2.1"), (59, "192.0.2.1")], 1, id="once a minute"),
        pytest.param([(0, "192.0.2.1"), (61, "192.0.2.1")], 2, id="again after it"),
        pytest.param([(0, "192.0.2.1"), (0, "192.0.2.2")], 2, id="each address"),
        pytest.param([(0, "2001:db8:1:2::1"), (0, "2001:db8:1:2::2")], 1, id="a network of IPv6"),
    ],
)
def test_a_line_is_written(
    noted: list[tuple[float, str]], lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter([at for at, _ in noted])
    full = FullAddresses(lambda: next(times))
    for _, address in noted:
        full.note(address, 7)
    assert len(caplog.records) == lines


def test_what_is_remembered_is_bounded() -> None:
    full = FullAddresses(lambda: 0.0)
    for index in range(10_000):
        full.note(f"10.0.{index // 256}.{index % 256}", 7)
    assert len(full._logged) <= 256
