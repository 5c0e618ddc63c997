"""Python's cycle collector, kept from holding the loop: while a policy is built, and while many come in.

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


_YOUNG_BETWEEN_FULL = 100
"""Collections of the middle generation, of 7,000 objects each, before there is one of all; Python's own is 10."""


def look_rarely() -> None:
    """Look at everything less often than Python would: at 10,000 sessions it takes 45 to 66 ms, and finds nothing.

    Each quarter that the sessions grew by brought such a pause; now some 70,000 that come do. What ends leaves no
    cycle (a test holds it), so little waits for it. It is not kept from looking for good: what Tornado serves may
    leave some. The young generations stay as they are: larger ones hold the loop longer at a time (33 ms for 50,000
    objects) and cost as much in all.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _YOUNG_BETWEEN_FULL)


def keep() -> None:
    """Let no later collection look again at what exists now, since it stays: a start, or a new policy.

    What is kept is still freed when nothing refers to it; only cycles that are garbage at this moment stay. Of
    reloads, with requests beside them, there are none (a test holds it).
    """
    gc.freeze()
