"""Keeps Python's cycle collector from holding the loop: while a policy is built, and while many clients connect.

A policy of ten thousand templates is some hundred thousand objects without a single cycle. The collector cannot
know that, and looked through them for 25 to 40 ms at a time while they were made.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Make no automatic collections inside the block; garbage cycles wait for the next one."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


_YOUNG_BETWEEN_FULL = 100
"""Collections of the middle generation, of 7,000 objects each, for one of all objects; Python's own value is 10."""


def collect_rarely() -> None:
    """Make full collections rarer than Python does: at 10,000 sessions one takes 45 to 66 ms, and finds nothing.

    With Python's setting each growth of the sessions by a quarter brought such a pause; now it takes some 70,000
    new sessions. Little waits for a full collection, since ended sessions leave no cycle (a test holds it), but
    Tornado's requests may leave some, so it is not switched off. The young generations stay as they are: larger
    ones hold the loop longer at a time (33 ms for 50,000 objects) and cost as much in all.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _YOUNG_BETWEEN_FULL)


def freeze_existing() -> None:
    """Exempt all objects of this moment from later collections, since they stay: after a start, or a reload.

    They are still freed when nothing refers to them; only cycles that are garbage at this moment stay for good. A
    reload with requests beside it leaves no such cycle (a test holds it).
    """
    gc.freeze()
