"""Echo servers as the official suites talk to them, each a process of its own.

Their heartbeats are the usual, slow ones, so that a busy machine is never taken for a client that is gone;
what is about time itself runs a server of its own, see `beating` in test_engineio.py.

Where we answer otherwise than the reference implementation, on purpose, and within what the suites accept:

* A WebSocket with a wrong `EIO` is refused by 400 before the 101, not killed after it.
* A POST whose packets do not parse is answered by 400, not by `ok`; the session is gone in both.
* A binary packet without attachments (`450-`) and an event without a payload (`42`) close the connection; the
  reference takes both, and its decoder is stuck after the first.
* A client's `1` on a WebSocket closes it at once.
* JSON that nests deeper than 32, holds a lone surrogate, or a number that JavaScript could not have sent,
  closes the connection, unless the application answers it (`PayloadRefused`).
* Paths are compared as a whole, not by prefix. No compression, no JSONP, no WebTransport.
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
