"""Frees an old policy in steps: freeing ten thousand templates at once held the loop for 40 ms.

The parts of a policy are put on a list first, so that none is freed together with its owner, and taken off it a few
at a time. Both are generators: the caller may let others run at each `yield`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain

from compartmentd.configuration.settings import Configuration
from compartmentd.configuration.snapshot import Snapshot

GATHERED = 1000
"""Parts put on the list between two pauses: that takes less than a millisecond, though they lie in cold memory."""

FREED = 50
"""Parts freed between two pauses, for the same reason: a template is some twenty objects."""


def gather_parts(snapshot: Snapshot) -> Generator[None, None, list[object]]:
    """Return the parts of a snapshot of which there may be very many."""
    parts: list[object] = []
    for part in chain(list_templates(snapshot.configuration), snapshot.rules.iter_parts()):
        parts.append(part)
        if len(parts) % GATHERED == 0:
            yield
    return parts


def list_templates(configuration: Configuration | None) -> Iterator[object]:
    """Yield the room templates of all namespaces."""
    if configuration is not None:
        for namespace in configuration.policy.namespaces.values():
            yield from namespace.rooms


def free(parts: list[object]) -> Generator[None, None, None]:
    """Empty the list, which frees the parts that nothing else refers to."""
    while parts:
        del parts[-FREED:]
        yield
