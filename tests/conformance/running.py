"""The echo as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def running(*flags: str) -> Iterator[int]:
    """Run the echo with these flags on a free port, which is returned."""
    command = [sys.executable, "-X", "dev", "-m", "tests.conformance.echo", "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = urlsplit(process.stdout.readline().split()[-1]).port
        assert port is not None
        yield port
        process.terminate()
        # asyncio's debug mode also tells how long callbacks took, which says something of the machine alone.
        errors = [line for line in process.stderr if not line.startswith("Executing ")]
        assert process.wait(30) == 0
        assert errors == [], "whatever clients did, the server had nothing to complain about"
