"""Echo servers as the official suites run theirs: a process of its own, with short heartbeats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.conformance.intervals import CONNECT_TIMEOUT, PING_INTERVAL, PING_TIMEOUT


def _echo(*more: str) -> Iterator[int]:
    command = [sys.executable, "-X", "dev", "-m", "tests.conformance.echo", "--port", "0", *more]
    command += ["--ping-interval", str(PING_INTERVAL), "--ping-timeout", str(PING_TIMEOUT)]
    command += ["--connect-timeout", str(CONNECT_TIMEOUT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = urlsplit(process.stdout.readline().split()[-1]).port
        assert port is not None
        yield port
        process.terminate()
        errors = process.stderr.read()
        assert process.wait(30) == 0
        assert not errors, "whatever clients did, the server had nothing to complain about"


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a Socket.IO echo server."""
    yield from _echo()


@pytest.fixture(scope="module")
def bare() -> Iterator[int]:
    """The port of an Engine.IO echo server."""
    yield from _echo("--bare")
