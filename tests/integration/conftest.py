"""Integration tests run the daemon as an operator does, and clients as users do; all of them are slow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import world
from tests.support.daemon import Daemon
from tests.support.mint import Issuer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def corp() -> Issuer:
    """The identity provider of the tests' people."""
    return Issuer("corp")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, corp: Issuer) -> Iterator[Daemon]:
    """One daemon for the tests of a module that change nothing in it."""
    with world.daemon(tmp_path_factory.mktemp("shared"), corp) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, corp: Issuer) -> Iterator[Daemon]:
    """A daemon of the test's own, to reload and to end."""
    with world.daemon(tmp_path, corp) as running:
        yield running
