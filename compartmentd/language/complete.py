"""Offers what may be written at a position: keys, values, and names that the configuration declares.

The text is read with a mark at the position, which becomes part of a key or of a scalar; the path of that part says
what the schema and the declared names have to offer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from compartmentd.language.grammar import (
    SchemaPlace,
    find_place,
    list_keys,
    list_rule_kinds,
    list_values,
    takes_test,
)
from compartmentd.language.hover import describe_rule_body, describe_template
from compartmentd.language.names import Declared, Names, find_namespace, find_template, list_template_params
from compartmentd.language.outline import MARK, KeyPath, OutlinePart, Position, Range

ItemKind: TypeAlias = Literal["key", "word", "value", "rule", "room", "issuer", "param"]

_ONLY_IN = {
    "members": {"publish"},
    "server": {"join", "rules"},
    "member_of": {"join", "rules"},
    "ticket": {"join", "rules"},
    "ask": {"connect", "join", "rules"},
    "together": {"publish", "rules"},
}
"""The keys under which words and kinds of rules make sense; the others do everywhere."""

_NEEDS_QUOTES = re.compile(r"^[\s{}\[\]&*!|>%@`\"'#,?-]|: |:$| #|^$")
_NEEDS_QUOTES_IN_FLOW = re.compile(r"[,\[\]{}]")


class Item(msgspec.Struct, frozen=True):
    """One thing that may be written: `insert` replaces `range`.

    `snippet` is the same with places to fill in, `$1` and so on, or empty.
    """

    label: str
    kind: ItemKind
    insert: str
    range: Range
    detail: str = ""
    documentation: str = ""
    snippet: str = ""


def mark_position(text: str, position: Position) -> str:
    """Return a text with the mark at a position."""
    lines = text.split("\n")
    line = lines[position.line]
    lines[position.line] = line[: position.column] + MARK + line[position.column :]
    return "\n".join(lines)


def list_completions(file: str, position: Position, names: Names, *, included: bool = False) -> list[Item]:
    """Return what may be written at a position.

    Args:
        file: The file, whose text among `names` has the mark at the position.
        position: Where the cursor is.
        names: The names of the configuration.
        included: Whether it is a file that `include` names.
    """
    rest = names.lines[file][position.line].partition(MARK)[2]
    for part in names.outlines[file].walk():
        if part.key is not None and MARK in part.key:
            return list(_Completion(part, position, rest, names, included=included).complete_key())
        if MARK in part.text:
            return list(_Completion(part, position, rest, names, included=included).complete_value())
    return []


class _Completion:
    """Completes one part, which holds the mark; `rest` is what stands behind the cursor on its line."""

    def __init__(
        self, part: OutlinePart, position: Position, rest: str, names: Names, *, included: bool
    ) -> None:
        self.part = part
        self.position = position
        self.rest = rest
        self.names = names
        self.included = included
        self.template = find_template(part)

    def find_place(self, path: KeyPath) -> SchemaPlace | None:
        return find_place(path, included=self.included)

    def _replace_from(self, start: Position) -> Range:
        # What is written of the word before the cursor; an opening quote stays.
        first = start.column + self.part.quoted if start.line == self.position.line else self.position.column
        return Range(Position(self.position.line, min(first, self.position.column)), self.position)

    # --- keys -----------------------------------------------------------------------------------------------

    def complete_key(self) -> Iterator[Item]:
        container = self.part.parent
        assert container is not None  # noqa: S101 - a part with a key stands in a mapping
        place = self.find_place(container.path)
        if place is None:
            return
        range_ = self._replace_from(self.part.key_range.start)
        written = [str(child.key) for child in container.children if child is not self.part]
        if self._is_open_placeholder(place, container):
            yield from self._offer_quoted_placeholders(container)
        else:
            yield from self._offer_keys(place, container.path, written, range_)
            yield from self._offer_param_keys(place, written, range_)

    def _offer_keys(
        self, place: SchemaPlace, path: KeyPath, written: list[str], range_: Range
    ) -> Iterator[Item]:
        where = self._find_rule_key(path)
        for key, inner in list_keys(place, written):
            if not place.is_rule or _makes_sense(key, where):
                yield self._build_key(key, inner, range_)

    def _build_key(self, key: str, inner: SchemaPlace, range_: Range) -> Item:
        in_line = self.part.flow or inner.shape == "scalar"
        insert = key if self._has_colon() else f"{key}: " if in_line else f"{key}:"
        return Item(key, "key", insert, range_, inner.shape, inner.description)

    def _has_colon(self) -> bool:
        """Return whether the colon of the key at the cursor is written already."""
        behind = self.rest.lstrip("\"'").lstrip()
        return behind.startswith(":") or (self.part.colon and MARK in (self.part.key or ""))

    def _offer_param_keys(self, place: SchemaPlace, written: list[str], range_: Range) -> Iterator[Item]:
        if place.key not in ("params", "auto_join") or self.template is None:
            return
        for name in list_template_params(self.template[1]):
            if name not in written:
                insert = name if self._has_colon() else f"{name}: "
                yield Item(name, "param", insert, range_, f"parameter of `{self.template[1].key}`")

    def _is_open_placeholder(self, place: SchemaPlace, container: OutlinePart) -> bool:
        # `contains: {pro` means a placeholder, which must be quoted there; no value is a mapping.
        return container.kind == "mapping" and bool(container.range) and place.definition == "value"

    def _offer_quoted_placeholders(self, container: OutlinePart) -> Iterator[Item]:
        end = self.position.column + self.rest.startswith("}")
        range_ = Range(container.range.start, Position(self.position.line, end))
        for name in self._list_params():
            yield Item(f"{{{name}}}", "param", f'"{{{name}}}"', range_, "parameter")

    # --- values ---------------------------------------------------------------------------------------------

    def complete_value(self) -> Iterator[Item]:
        part, path = self.part, self.part.path
        place = self.find_place(path)
        opened = self._find_open_brace()
        if opened is not None:
            yield from self._offer_placeholders(opened)
            return
        if place is None:
            return
        range_ = self._replace_from(part.range.start)
        names = self._list_names(place, path, range_)
        yield from self._offer_values(place, path, range_) if names is None else names
        if part.own_line and not part.quoted:
            yield from self._offer_keys(place, path, [], range_)
            yield from self._offer_param_keys(place, [], range_)
        elif place.is_rule and not part.quoted:
            yield from self._offer_conditions(path, range_)

    def _offer_values(self, place: SchemaPlace, path: KeyPath, range_: Range) -> Iterator[Item]:
        where = self._find_rule_key(path)
        for value, meaning in list_values(place):
            if not place.is_rule:
                yield self._build_scalar(value, "value", range_, documentation=meaning)
            elif _makes_sense(value, where) and self._may_stand(value, path):
                yield self._build_scalar(value, "word", range_, documentation=meaning)

    def _may_stand(self, word: str, path: KeyPath) -> bool:
        return word != "members" or ("rooms" in path and path[-1] == "publish")

    def _find_rule_key(self, path: KeyPath) -> str:
        """Return the key under which the outermost rule of a path stands; empty where there is none."""
        for length in range(1, len(path) + 1):
            place = self.find_place(path[:length])
            if place is not None and place.is_rule:
                return place.key
        return ""

    def _offer_conditions(self, path: KeyPath, range_: Range) -> Iterator[Item]:
        where = self._find_rule_key(path)
        place = self.find_place((*path,))
        for kind in list_rule_kinds():
            inner = None if place is None else self.find_place((*path, kind))
            if inner is None or not _makes_sense(kind, where):
                continue
            test = ", ${2:equals}: $3" if takes_test(kind) else ""
            value = "[$1]" if inner.shape == "sequence" else "$1"
            snippet = f"{{{kind}: {value}{test}\\}}"
            yield Item(kind, "key", f"{{{kind}: ", range_, "condition", inner.description, snippet)

    def _list_names(self, place: SchemaPlace, path: KeyPath, range_: Range) -> list[Item] | None:
        """Return the declared names that may stand here, or `None` where no name does."""
        holder = self.find_place(path[:-1] if isinstance(path[-1], str) else path[:-2]) if path else None
        key = place.key if holder is not None and holder.is_rule and not place.is_rule else ""
        if key == "rule":
            own = path[1] if path[0] == "rules" else None
            rules = (rule for rule in self.names.rules if rule.name != own)
            return [
                self._build_scalar(rule.name, "rule", range_, "rule", describe_rule_body(rule, self.names))
                for rule in rules
            ]
        if key == "param":
            return [self._build_scalar(name, "param", range_, "parameter") for name in self._list_params()]
        if key == "member_of":
            return [
                self._build_scalar(
                    room.name, "room", range_, "room", describe_template(room.part, example=False)
                )
                for room in self._list_rooms(path)
            ]
        if key in ("issuer", "ticket") or (place.key == "issuers" and find_namespace(path) is not None):
            return [
                self._build_scalar(entry.name, "issuer", range_, "issuer") for entry in self.names.issuers
            ]
        return None

    def _list_rooms(self, path: KeyPath) -> list[Declared]:
        namespace = find_namespace(path)
        spaces = [namespace] if namespace is not None else [space.name for space in self.names.namespaces]
        own = None if self.template is None else self.template[1].key
        return [room for space in spaces for room in self.names.list_templates(space) if room.name != own]

    def _list_params(self) -> list[str]:
        """Return the parameters that may be named here: the template's, in a named rule those of every template."""
        if self.template is not None:
            return list(list_template_params(self.template[1]))
        if find_namespace(self.part.path) is not None:
            return []
        rooms = self._list_rooms(self.part.path)
        return list(dict.fromkeys(name for room in rooms for name in list_template_params(room.part)))

    def _find_open_brace(self) -> int | None:
        """Return the column of a `{` of a rule's text that is not closed before the cursor."""
        if not self._find_rule_key(self.part.path):
            return None
        before = self.part.text.partition(MARK)[0].replace("{{", "  ")
        opened = before.rfind("{")
        return None if opened <= before.rfind("}") else self.position.column - (len(before) - opened)

    def _offer_placeholders(self, opened: int) -> Iterator[Item]:
        range_ = Range(Position(self.position.line, opened + 1), self.position)
        close = "" if self.rest.startswith("}") else "}"
        for name in self._list_params():
            yield Item(name, "param", f"{name}{close}", range_, "parameter")

    def _build_scalar(
        self, value: str, kind: ItemKind, range_: Range, detail: str = "", documentation: str = ""
    ) -> Item:
        needed = _NEEDS_QUOTES.search(value) or (self.part.flow and _NEEDS_QUOTES_IN_FLOW.search(value))
        insert = f'"{value}"' if needed and not self.part.quoted else value
        return Item(value, kind, insert, range_, detail, documentation)


def _makes_sense(name: str, where: str) -> bool:
    return where in _ONLY_IN.get(name, {where})
