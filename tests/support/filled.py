"""Values with every field set: for tests that a structure arrives whole wherever it is copied or sent."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from compartmentd.problems import Problem, Span

T = TypeVar("T")


def filled(kind: type[T]) -> T:
    """Return a value of a type in which each field of each structure differs from the field's default."""
    return cast("T", next(_values(inspect.type_info(kind))))


def unfilled_fields(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of each field, at any depth, that has its default value."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(type(value)):
            inner = getattr(value, field.name)
            here = f"{path}.{field.name}"
            if not field.required and inner == _default(field):
                yield here
            yield from unfilled_fields(inner, here)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from unfilled_fields(inner, f"{path}[{key!r}]")
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from unfilled_fields(inner, f"{path}[{index}]")


def _default(field: Any) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory()


def _values(kind: inspect.Type) -> Iterator[Any]:
    """Yield a few different values of a type, at least one of which is no field's default."""
    match kind:
        case inspect.StructType(cls=cls) if cls is Problem:
            # Its code is one of a table.
            yield Problem("warning", "text.size", "text", Span("file", 7, 8, 9, 10), "help", "excerpt")
        case inspect.StructType():
            yield kind.cls(**{field.name: _value_of_field(field) for field in kind.fields})
        case inspect.UnionType():
            others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            for each in others:
                yield from _values(each)
        case inspect.VarTupleType():
            yield (next(_values(kind.item_type)),)
        case inspect.TupleType():
            yield tuple(next(_values(item)) for item in kind.item_types)
        case inspect.ListType():
            yield [next(_values(kind.item_type))]
        case inspect.FrozenSetType():
            yield frozenset({next(_values(kind.item_type))})
        case inspect.DictType():
            yield {next(_values(kind.key_type)): next(_values(kind.value_type))}
        case inspect.LiteralType():
            yield from kind.values
        case inspect.BoolType():
            yield from (True, False)
        case inspect.IntType():
            yield from (7, 8)
        case inspect.FloatType():
            yield from (7.5, 8.5)
        case inspect.StrType() | inspect.CustomType(cls=builtins.object):
            yield from ("text", "other text")
        case inspect.BytesType():
            yield b"bytes"
        case _:
            raise TypeError(f"no value is known for {kind}")


def _value_of_field(field: inspect.Field) -> Any:
    values = _values(field.type)
    return next(values) if field.required else next(value for value in values if value != _default(field))
