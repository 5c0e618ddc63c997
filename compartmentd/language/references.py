"""Finds what a place of a configuration refers to, where that is declared, and where else it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from compartmentd.language.grammar import find_place
from compartmentd.language.names import Declared, Location, Names, find_namespace, find_template
from compartmentd.language.outline import KeyPath, OutlinePart, Position, Range

NameKind: TypeAlias = Literal["rule", "room", "issuer", "param"]

_IN_RULES: dict[str, NameKind] = {
    "rule": "rule",
    "member_of": "room",
    "param": "param",
    "issuer": "issuer",
    "ticket": "issuer",
}
"""What the value of each kind of rule names."""

_AT_TOP: dict[str, NameKind] = {"rules": "rule", "issuers": "issuer"}
"""What the keys of each section of a file declare."""


class Reference(NamedTuple):
    """A name that something declares, at the part where it is used or declared.

    `declares` says that the part is the declaration itself; then `range` is that of its key.
    """

    kind: NameKind
    name: str
    part: OutlinePart
    range: Range
    declares: bool = False


def find_part(root: OutlinePart, position: Position) -> tuple[OutlinePart, bool] | None:
    """Return the innermost part whose key or scalar holds the position, and whether it is the key."""
    for part in root.walk():
        if part.key is not None and _holds(part.key_range, position):
            return part, True
        if part.kind == "scalar" and _holds(part.range, position):
            return part, False
    return None


def _holds(range_: Range, position: Position) -> bool:
    return range_.start <= position <= range_.end


def find_reference(root: OutlinePart, position: Position) -> Reference | None:
    """Return the name at a position, if it is one that is declared in a configuration."""
    found = find_part(root, position)
    if found is None:
        return None
    part, on_key = found
    reference = _read_declaration(part) if on_key else read_use(part)
    if on_key or (reference is not None and reference.kind == "param"):
        return reference
    return _find_placeholder(part, position) or reference


def _read_declaration(part: OutlinePart) -> Reference | None:
    path = part.path
    kind = _AT_TOP.get(str(path[0])) if len(path) == 2 else None
    if kind is None and is_template(path):
        kind = "room"
    elif kind is None and len(path) == 6 and path[4] == "params" and is_template(path[:4]):
        kind = "param"
    return None if kind is None else Reference(kind, str(part.key), part, part.key_range, declares=True)


def is_template(path: KeyPath) -> bool:
    """Return whether a path leads to a room template."""
    return len(path) == 4 and path[0] == "namespaces" and path[2] == "rooms"


def read_use(part: OutlinePart) -> Reference | None:
    """Return what a scalar names: a rule, a room, an issuer or a parameter."""
    if part.kind != "scalar" or not part.text:
        return None
    kind = _find_kind(part)
    return None if kind is None else Reference(kind, part.text, part, part.range)


def _find_kind(part: OutlinePart) -> NameKind | None:
    path = part.path
    if len(path) == 4 and path[0] == "namespaces" and path[2] == "issuers":
        return "issuer"
    key, holder = (
        (path[-1], path[:-1])
        if path and isinstance(path[-1], str)
        else (path[-2] if len(path) > 1 else "", path[:-2])
    )
    if key not in _IN_RULES:
        return None
    place = find_place(holder)
    return _IN_RULES[str(key)] if place is not None and place.is_rule else None


def _find_placeholder(part: OutlinePart, position: Position) -> Reference | None:
    """Return the parameter whose placeholder stands at a position of a text on one line."""
    if part.range.start.line != part.range.end.line or find_template(part) is None:
        return None
    at = position.column - part.range.start.column - part.quoted
    opened, closed = part.text.rfind("{", 0, max(at, 0)), part.text.find("}", max(at, 0))
    name = part.text[opened + 1 : closed] if 0 <= opened < closed else ""
    if not name or "{" in name or "}" in name:
        return None
    start = part.range.start.column + part.quoted + opened + 1
    line = part.range.start.line
    return Reference("param", name, part, Range(Position(line, start), Position(line, start + len(name))))


# --- declarations and uses ------------------------------------------------------------------------------------


def find_definitions(reference: Reference, file: str, names: Names) -> list[Location]:
    """Return where a name is declared; a room that several templates may have has several."""
    if reference.declares:
        return [Location(file, reference.range)]
    match reference.kind:
        case "rule":
            found = names.find_rule(reference.name)
            return [] if found is None else [found.location]
        case "issuer":
            found = names.find_issuer(reference.name)
            return [] if found is None else [found.location]
        case "room":
            return [target.location for target in find_rooms(reference, names)]
    return _find_param(reference, file)


def find_rooms(reference: Reference, names: Names, among: Sequence[Location] | None = None) -> list[Declared]:
    """Return the templates of which the room of a `member_of` may be; in a named rule those of every namespace.

    Args:
        reference: The use.
        names: The names of the configuration.
        among: The positions of the templates that count, or `None` for all.
    """
    template = find_template(reference.part)
    namespace = find_namespace(reference.part.path)
    spaces = [namespace] if namespace is not None else [space.name for space in names.namespaces]
    inside = None if template is None else template[1]
    return [found for space in spaces for found in names.find_reached(space, reference.name, inside, among)]


def _find_param(reference: Reference, file: str) -> list[Location]:
    inside = find_template(reference.part)
    if inside is None:
        return []
    declared = inside[1].at("params", reference.name)
    return [Location(file, (inside[1] if declared is None else declared).key_range)]


def find_references(reference: Reference, file: str, names: Names) -> list[Location]:
    """Return where a rule, room template or issuer is used, in all files, its declaration first."""
    wanted = find_definitions(reference, file, names)
    if reference.kind == "param" or not wanted:
        return wanted
    uses = (
        Location(name, use.range)
        for name, outline in names.outlines.items()
        for use in _list_uses(outline, reference.kind)
        if _leads_to(use, reference, wanted, names)
    )
    return [*wanted, *uses]


def _leads_to(use: Reference, reference: Reference, wanted: Sequence[Location], names: Names) -> bool:
    if reference.kind != "room":
        return use.name == reference.name
    return any(found.location in wanted for found in find_rooms(use, names, wanted))


def _list_uses(root: OutlinePart, kind: NameKind) -> Iterator[Reference]:
    for part in root.walk():
        use = read_use(part)
        if use is not None and use.kind == kind:
            yield use
