"""The subschemas of a JSON Schema (draft 2020-12) and how they refer to each other.

Used where a payload schema is checked (`configuration.compiler.payload_schemas`) and where the cost of validating
with it is computed (`configuration.payloads.cost`). Only keywords of the standard vocabularies hold subschemas:
what looks like a schema inside of `const`, `enum` or `default` is data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

Schema: TypeAlias = Mapping[str, Any] | bool
Pointer: TypeAlias = tuple[str | int, ...]

IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
IN_PLACE = ("else", "if", "not", "then")
IN_PLACE_MAPPINGS = ("dependentSchemas",)
OF_CHILDREN = (
    "additionalProperties",
    "contains",
    "items",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
OF_CHILDREN_LISTS = ("prefixItems",)
OF_CHILDREN_MAPPINGS = ("patternProperties", "properties")
DEFINITIONS = ("$defs", "definitions")
REFERENCES = ("$dynamicRef", "$ref")

SINGLE = frozenset({*IN_PLACE, *OF_CHILDREN, "contentSchema"})
LISTS = frozenset({*IN_PLACE_LISTS, *OF_CHILDREN_LISTS})
MAPPINGS = frozenset({*IN_PLACE_MAPPINGS, *OF_CHILDREN_MAPPINGS, *DEFINITIONS})


class Part(NamedTuple):
    """A subschema: where it stands in the file, and its base for references (a `referencing` resolver)."""

    schema: Schema
    pointer: Pointer
    resolver: Any


class UnresolvedError(Exception):
    """A reference leads to nothing in the file."""

    def __init__(self, pointer: Pointer, reference: str) -> None:
        super().__init__(reference)
        self.pointer = pointer
        self.reference = reference


def make_root_part(schema: Schema) -> Part:
    """Return the part that is the file itself; its references resolve in the file alone."""
    resource = DRAFT202012.create_resource(schema)
    return Part(schema, (), Registry().resolver_with_root(resource))


def walk(part: Part) -> Iterator[Part]:
    """Yield a part and every part inside of it, in the order of the file."""
    yield part
    if isinstance(part.schema, Mapping):
        for child in list_children(part):
            yield from walk(child)


def list_children(part: Part) -> Iterator[Part]:
    """Yield the parts directly inside of a part."""
    if not isinstance(part.schema, Mapping):
        return
    for keyword, value in part.schema.items():
        if keyword in SINGLE:
            yield find_child(part, keyword)
        elif keyword in LISTS:
            yield from (find_child(part, keyword, index) for index in range(len(value)))
        elif keyword in MAPPINGS:
            yield from (find_child(part, keyword, name) for name in value)


def find_child(part: Part, *steps: str | int) -> Part:
    """Return the part at some steps of keywords, names and indices below a part."""
    schema: Any = part.schema
    for step in steps:
        schema = schema[step]
    resolver = part.resolver
    if isinstance(schema, Mapping) and "$id" in schema:
        resolver = resolver.in_subresource(DRAFT202012.create_resource(schema))
    return Part(schema, (*part.pointer, *steps), resolver)


def resolve_target(part: Part, keyword: str) -> Part:
    """Return the part to which a `$ref` or `$dynamicRef` refers, as if its scope were that of the file alone.

    Raises:
        UnresolvedError: nothing in the file has that name.
    """
    assert isinstance(part.schema, Mapping)  # noqa: S101 - only an object has keywords
    reference = part.schema[keyword]
    try:
        found = part.resolver.lookup(reference)
    except (Unresolvable, ValueError):
        raise UnresolvedError((*part.pointer, keyword), reference) from None
    return Part(found.contents, (*part.pointer, keyword), found.resolver)
