"""Tests of the units run them under a systemd of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.systemd import UserManager


@pytest.fixture
def systemd() -> Iterator[UserManager]:
    with UserManager() as manager:
        yield manager
