"""Freeing an old policy little by little: ten thousand templates at once held the loop for 40 ms.

Whatever a policy is made of is put on a list first, so that nothing goes when its owner does, and taken off it in
small parts. Both go on in steps: the caller may let others run at each `yield`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain

from compartmentd.configuration.settings import Configuration
from compartmentd.configuration.snapshot import Snapshot

GATHERED = 1000
"""Parts put on the list between two pauses: a fraction of a millisecond, though they come from cold memory."""

FREED = 50
"""Parts freed between two pauses, likewise: a template is some twenty objects."""


def gathered(snapshot: Snapshot) -> Generator[None, None, list[object]]:
    """Return, in steps, the parts of a snapshot that there may be very many of."""
    parts: list[object] = []
    for part in chain(templates_of(snapshot.configuration), snapshot.rules.iter_parts()):
        parts.append(part)
        if len(parts) % GATHERED == 0:
            yield
    return parts


def templates_of(configuration: Configuration) -> Iterator[object]:
    """Yield the room templates of all namespaces."""
    for namespace in configuration.policy.namespaces.values():
        yield from namespace.rooms


def freed(parts: list[object]) -> Generator[None, None, None]:
    """Let go of the parts in steps."""
    while parts:
        del parts[-FREED:]
        yield
