"""The values of a YAML file, each with the positions of its key and of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from compartmentd.problems import Span

Mark: TypeAlias = tuple[int, int, int, int]
"""Line and column of the first character and of the first one after; a quarter of a `Span`'s memory."""


MERGE = "<<"
"""The key of YAML 1.1 that merges another mapping into its own."""


class Node:
    """A value of the file: its plain `data`, its position, and its children.

    `broken` says that a problem of the node itself was reported, so that no later check reports another;
    `holes` are the keys of refused entries of a mapping, so that they are not reported as missing.
    """

    __slots__ = ("broken", "children", "data", "file", "holes", "key_mark", "mark")

    def __init__(
        self, file: str, mark: Mark, data: Any, children: dict[str, Node] | list[Node] | None = None
    ) -> None:
        self.file = file
        self.mark = mark
        self.data = data
        self.children = children
        self.key_mark: Mark | None = None
        self.broken = False
        self.holes: tuple[str, ...] = ()

    @property
    def span(self) -> Span:
        """The position of the value."""
        return Span(self.file, *self.mark)

    @property
    def key_span(self) -> Span:
        """The position of the value's key; for an item of a list that of the value."""
        return Span(self.file, *(self.key_mark or self.mark))

    def get(self, key: str) -> Node | None:
        """Return the value under the key; `None` if there is none or it is broken."""
        child = self.fields.get(key)
        return None if child is None or child.broken else child

    @property
    def fields(self) -> Mapping[str, Node]:
        """The values of a mapping by key, broken ones too; empty for anything else."""
        return self.children if isinstance(self.children, dict) else {}

    def usable(self) -> Iterator[tuple[str, Node]]:
        """Yield the keys and values of a mapping, without the broken ones."""
        return ((key, child) for key, child in self.fields.items() if not child.broken)

    @property
    def items(self) -> Sequence[Node]:
        """The items of a list that are not broken; none for anything else."""
        return [item for item in self.children if not item.broken] if isinstance(self.children, list) else ()

    @property
    def sound(self) -> bool:
        """Whether neither the value nor any part of it is broken, and nothing in it was refused."""
        children = self.children.values() if isinstance(self.children, dict) else self.children or ()
        return not (self.broken or self.holes) and all(child.sound for child in children)

    def has_refused(self, key: str) -> bool:
        """Return whether the mapping had a refused entry under this key; a refused merge may bring any key."""
        return key in self.holes or MERGE in self.holes

    def at(self, path: Sequence[str | int]) -> Node:
        """Return the node at a path of keys and indices, which must exist."""
        node = self
        for step in path:
            node = node.children[step]  # type: ignore[index]  # a path fits its document
        return node
