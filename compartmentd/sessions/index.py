"""An index whose keys several items may share, as sessions share a user or the provider's session."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class Index(Generic[Key, Item]):
    """Items by a key that several may share; adding, removing and counting cost the same however many do.

    Most keys have one item, which is kept without a collection around it: a dictionary for each would take
    230 bytes. An item is no dictionary.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[Key, Item | dict[Item, None]] = {}

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._items)

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys."""
        return iter(self._items)

    def add(self, key: Key, item: Item) -> bool:
        """Add an item that is not there; return whether it is the first of its key."""
        present = self._items.get(key)
        if present is None:
            self._items[key] = item
        elif isinstance(present, dict):
            present[item] = None
        else:
            self._items[key] = {present: None, item: None}
        return present is None

    def remove(self, key: Key, item: Item) -> bool:
        """Remove an item that is there; return whether it was the last of its key."""
        present = self._items[key]
        if isinstance(present, dict):
            del present[item]
            if len(present) == 1:
                (self._items[key],) = present
            return False
        del self._items[key]
        return True

    def find(self, key: Key) -> tuple[Item, ...]:
        """Return the items of a key, oldest first."""
        present = self._items.get(key)
        if present is None:
            return ()
        return tuple(present) if isinstance(present, dict) else (present,)

    def count(self, key: Key) -> int:
        """Return how many items a key has."""
        present = self._items.get(key)
        if present is None:
            return 0
        return len(present) if isinstance(present, dict) else 1
