"""Checks a document against its JSON Schema; reports each part that does not fit once, with its position.

The schema is plain JSON Schema 2020-12, so editors complete from it. Where its keywords alone would give an
unclear message ("is not valid under any of the given schemas"), our annotations say what to report:

`x-form` {what, write}    what a text is, and its right form; `secret` keeps it out of messages
`x-choice` {what, write}  what the one key of a `oneOf`, `anyOf` or `maxProperties` stands for
`x-unit`, `x-unlimited`   a quantity, described by `units`
`x-not-built`             a key whose feature does not exist yet
`x-refused`               a key that may not stand here, and why

(`x-about`, the schema of each required key, and `x-definition`, the name under `$defs`, are added here.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

from compartmentd.document.bundled import schema
from compartmentd.document.explain import explain
from compartmentd.document.fast_fit import fits
from compartmentd.document.misplaced import find_misplaced
from compartmentd.document.node import Node
from compartmentd.problems import Problem
from compartmentd.util.regex import compile_pattern

Errors: TypeAlias = Iterator[ValidationError]
Path: TypeAlias = tuple[str | int, ...]

_LOCAL = "#/$defs/"


def check(root: Node, definition: str | None = None) -> tuple[Problem, ...]:
    """Check a document, or a part of it, and mark the nodes that do not fit as broken.

    Args:
        root: The document.
        definition: The name under `$defs` of the schema, or `None` for a whole configuration.
    """
    if fits(_get_part(definition), root.data):
        return ()
    groups: dict[Path, list[ValidationError]] = defaultdict(list)
    for error in _make_validator(definition).iter_errors(root.data):
        groups[tuple(error.absolute_path)].append(error)
    misplaced = tuple(find_misplaced(root, _find_all_sound(root, groups)))
    # Values that YAML refused are not reported again. All are looked up first: explaining marks more as broken.
    sound = _find_all_sound(root, groups)
    explained = (problem for path, node in sound.items() for problem in explain(node, path, groups[path]))
    return (*misplaced, *explained)


def _find_all_sound(root: Node, paths: Iterable[Path]) -> dict[Path, Node]:
    return {path: node for path in paths if (node := _find_sound(root, path)) is not None}


def _find_sound(root: Node, path: Path) -> Node | None:
    node = root
    for step in path:
        if node.broken:
            return None
        node = node.at((step,))
    return None if node.broken else node


# --- the validator ------------------------------------------------------------------------------------------


@cache
def _make_validator(definition: str | None) -> Any:
    part = _inline_references(_get_part(definition), schema()["$defs"], {})
    return _Validator({**part, "x-definition": definition or "top"}, registry=Registry())


def _get_part(definition: str | None) -> Any:
    return schema() if definition is None else schema()["$defs"][definition]


def _inline_references(part: Any, definitions: Mapping[str, Any], done: dict[str, dict[str, Any]]) -> Any:
    """Return a schema with each reference replaced by its target; a rule then contains itself.

    All references of our schema lead to its own `$defs`, and keywords beside them are for readers only.
    Resolving them for every value of the file would take a third of the time of a check. `x-additional` is
    the schema of additional properties as it is written.
    """
    if isinstance(part, list):
        return [_inline_references(item, definitions, done) for item in part]
    if not isinstance(part, dict):
        return part
    name = part.get("$ref", "").removeprefix(_LOCAL)
    if not name:
        copy = {
            key: _inline_references(value, definitions, done) for key, value in part.items() if key != "$defs"
        }
        if isinstance(part.get("additionalProperties"), dict):
            copy["x-additional"] = part["additionalProperties"]
        if "required" in part and "properties" in part:
            copy["x-about"] = {key: part["properties"][key] for key in part["required"]}
        return copy
    if name not in done:
        done[name] = {}
        done[name].update(_inline_references(definitions[name], definitions, done), **{"x-definition": name})
    return done[name]


def _is_integer(_: Any, value: Any) -> bool:
    # JSON Schema accepts 1.0 as an integer; in a configuration it means a fraction.
    return isinstance(value, int) and not isinstance(value, bool)


def _check_pattern(_: Any, pattern: str, instance: Any, __: Any) -> Errors:
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError("pattern")


def _check_one_of(validator: Any, branches: Sequence[Any], instance: Any, _: Any) -> Errors:
    return _check_choice(validator, branches, instance, most=1)


def _check_any_of(validator: Any, branches: Sequence[Any], instance: Any, _: Any) -> Errors:
    return _check_choice(validator, branches, instance, most=len(branches))


def _check_choice(validator: Any, branches: Sequence[Any], instance: Any, most: int) -> Errors:
    # Our schema chooses among keys only, or, if one branch is a `not`, also accepts none of them (checked by a
    # test), so no branch has to be evaluated.
    if validator.is_type(instance, "object"):
        present = [name for branch in branches for name in branch.get("required", ()) if name in instance]
        least = 0 if any("not" in branch for branch in branches) else 1
        if not least <= len(present) <= most:
            yield ValidationError("choice")


def _check_additional(validator: Any, wanted: Any, instance: Any, part: Any) -> Errors:
    # The large parts of a file stand under names: namespaces, rooms, rules. The library gets those with mistakes.
    if wanted is not False and validator.is_type(instance, "object"):
        known = part.get("properties", ())
        instance = {
            name: value
            for name, value in instance.items()
            if name in known or not fits(part["x-additional"], value)
        }
    yield from _LIBRARY["additionalProperties"](validator, wanted, instance, part) or ()


_LIBRARY = Draft202012Validator.VALIDATORS

_Validator: Any = extend(  # type: ignore[no-untyped-call]  # the library's stubs leave it untyped
    Draft202012Validator,
    {
        "pattern": _check_pattern,
        "oneOf": _check_one_of,
        "anyOf": _check_any_of,
        "additionalProperties": _check_additional,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
