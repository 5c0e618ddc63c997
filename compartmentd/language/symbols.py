"""Lists what a file declares, for an editor's outline: namespaces with their rooms, rules, issuers, sections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from compartmentd.language.hover import find_end
from compartmentd.language.outline import OutlinePart, Range

SymbolKind: TypeAlias = Literal["section", "namespace", "room", "rule", "issuer"]

_DECLARED: dict[str, SymbolKind] = {"namespaces": "namespace", "rules": "rule", "issuers": "issuer"}


class Symbol(NamedTuple):
    """A name, its key's range, and the range of all that belongs to it."""

    name: str
    kind: SymbolKind
    range: Range
    key_range: Range
    children: tuple[Symbol, ...] = ()


def list_symbols(root: OutlinePart) -> tuple[Symbol, ...]:
    """Return the symbols of a file, in the order of the text."""
    return tuple(_build(part, "section", _list_declared(part)) for part in _list_entries(root))


def _list_declared(section: OutlinePart) -> Iterator[Symbol]:
    kind = _DECLARED.get(str(section.key))
    for part in _list_entries(section) if kind is not None else ():
        rooms = part.get("rooms") if kind == "namespace" else None
        inner = (_build(room, "room", ()) for room in _list_entries(rooms))
        yield _build(part, kind or "section", inner)


def _list_entries(part: OutlinePart | None) -> list[OutlinePart]:
    return [] if part is None else [child for child in part.children if child.key and child.colon]


def _build(part: OutlinePart, kind: SymbolKind, children: Iterator[Symbol] | tuple[Symbol, ...]) -> Symbol:
    range_ = Range(part.key_range.start, find_end(part))
    return Symbol(str(part.key), kind, range_, part.key_range, tuple(children))
