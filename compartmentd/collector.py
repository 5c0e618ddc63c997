"""Python's cycle collector, kept from holding the loop while a policy is built.

A policy of ten thousand templates is some hundred thousand objects without a single cycle. The collector cannot
know that, and looked through them for 25 to 40 ms at a time while they were made.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Make no automatic collections inside; cycles made meanwhile by others wait for the next one."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def keep() -> None:
    """Let no later collection look again at what exists now, since it stays: a start, or a new policy.

    What is kept is still freed when nothing refers to it; only cycles that are garbage at this moment stay.
    """
    gc.freeze()
