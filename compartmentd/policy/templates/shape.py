"""The shape of a template: its literals, and the characters that its parameters can contain."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from compartmentd.policy.model import CharClass, IntegerParam, Param, PatternParam, RoomTemplate, Text
from compartmentd.policy.templates.charset import Ranges, charset_from_text, contains, union


class Shape(NamedTuple):
    """A template's literals, and the alphabets of the parameters between them."""

    literals: tuple[str, ...]
    alphabets: tuple[Ranges, ...]

    def mirror(self) -> Shape:
        """Return the shape read from right to left."""
        return Shape(tuple(each[::-1] for each in reversed(self.literals)), self.alphabets[::-1])

    def can_be_cut(self) -> bool:
        """Return whether each parameter but the last is followed by a literal that ends its values.

        That is a literal whose first character the values cannot contain. Such a template reads a room in one way
        only: each value ends where the literal behind it first occurs.
        """
        pairs = zip(self.alphabets, self.literals[1:-1], strict=False)  # the last value ends with the room
        return all(literal and not contains(alphabet, ord(literal[0])) for alphabet, literal in pairs)


def build_shape(pattern: Text, params: Mapping[str, Param]) -> Shape:
    """Return the shape of a text."""
    return Shape(pattern[::2], tuple(_collect_alphabet(params[name]) for name in pattern[1::2]))


def build_template_shape(template: RoomTemplate) -> Shape:
    """Return the shape of a template."""
    return build_shape(template.pattern, {param.name: param for param in template.params})


def _collect_alphabet(param: Param) -> Ranges:
    """Return the characters that a value of the parameter can contain."""
    if isinstance(param, PatternParam):
        return _collect_item_characters(param.items)
    if isinstance(param, IntegerParam):
        return charset_from_text("-0123456789") if param.low < 0 else charset_from_text("0123456789")
    return charset_from_text("".join(param.values))


@lru_cache(maxsize=1024)
def _collect_item_characters(items: tuple[CharClass, ...]) -> Ranges:
    return union(pair for item in items for pair in item.ranges)
