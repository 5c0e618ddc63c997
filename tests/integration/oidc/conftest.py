"""What these tests share."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def alone() -> Iterator[None]:
    """Let a test that measures wait for the others that do, in whichever process of the run they are."""
    with Path(tempfile.gettempdir(), "compartmentd-tests-that-measure.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
