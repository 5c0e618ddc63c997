"""Echo servers as the official suites talk to them, each a process of its own.

Their heartbeats are the usual, slow ones, so that a busy machine is never taken for a client that is gone;
what is about time itself runs a server of its own, see `beating` in test_engineio.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.running import running


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a Socket.IO echo server."""
    with running() as port:
        yield port


@pytest.fixture(scope="module")
def bare() -> Iterator[int]:
    """The port of an Engine.IO echo server."""
    with running("--bare") as port:
        yield port
