"""Reads structured values from a fuzzer's bytes: each byte chooses something, and a text at its end reads as zeros.

So every input means something, and the fuzzer's small changes to an input are small changes to what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Choices:
    """A text of bytes, from which choices are taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether all bytes are used."""
        return self._at >= len(self._data)

    def number(self, below: int) -> int:
        """Return a number from 0 to `below`, which is at most 256, exclusive."""
        byte = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return byte % below

    def flag(self) -> bool:
        """Return one of the two truth values."""
        return bool(self.number(2))

    def one_of(self, several: Sequence[T]) -> T:
        """Return one of these values."""
        return several[self.number(len(several))]

    def some(self, most: int, make: Callable[[], T]) -> list[T]:
        """Return at most so many values, each made by `make`."""
        return [make() for _ in range(self.number(most + 1))]

    def take(self, most: int) -> bytes:
        """Return some of the next bytes, at most so many (up to 255)."""
        count = self.number(most + 1)
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        rest, self._at = self._data[self._at :], len(self._data)
        return rest

    def text(self, most: int) -> str:
        """Return a short text, of any characters."""
        return self.take(most).decode("utf-8", "replace")

    def json(self, leaves: Sequence[Any], names: Sequence[str], depth: int = 2) -> Any:
        """Return a JSON value of these leaves and names."""
        kind = self.number(8) if depth else 0
        if kind == 6:
            return [self.json(leaves, names, depth - 1) for _ in range(self.number(4))]
        if kind == 7:
            return {self.one_of(names): self.json(leaves, names, depth - 1) for _ in range(self.number(4))}
        return self.one_of(leaves)
