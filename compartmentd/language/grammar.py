"""Looks up what the configuration's schema says about a place: its keys, its values, and what each is for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from compartmentd.document.bundled import schema
from compartmentd.language.outline import KeyPath

_LOCAL = "#/$defs/"
_UNUSABLE = ("x-not-built", "x-refused")

ValueForm: TypeAlias = Literal["mapping", "sequence", "scalar"]


class SchemaPlace(msgspec.Struct, frozen=True):
    """What may stand at a path: `part` is the schema, with the description of the key beside that of the value.

    `definition` names the part of the schema that it refers to, such as `rule`; `key` is the last key of the path
    that the schema names, such as `join`.
    """

    part: Mapping[str, Any]
    definition: str = ""
    key: str = ""

    @property
    def description(self) -> str:
        """What the place is for, with its default; empty if the schema does not say it."""
        text: str = self.part.get("description", "")
        if "default" in self.part:
            text = f"{text}\n\nDefault: `{write_value(self.part['default'])}`."
        return text

    @property
    def shape(self) -> ValueForm:
        """The form that a value has first of all."""
        kinds = self.part.get("type", "object" if "properties" in self.part else "string")
        first = kinds if isinstance(kinds, str) else kinds[0]
        if self.is_rule or first not in ("object", "array"):
            return "scalar"
        return "mapping" if first == "object" else "sequence"

    @property
    def is_rule(self) -> bool:
        """Whether a rule stands here."""
        return self.definition == "rule"


def find_place(path: KeyPath, *, included: bool = False) -> SchemaPlace | None:
    """Return what may stand at a path of the configuration, or `None` where nothing may.

    Args:
        path: Keys and indices from the root of a file.
        included: Whether it is a file that `include` names.
    """
    place: SchemaPlace | None = SchemaPlace(schema()["$defs"]["included"] if included else schema())
    for step in path:
        if place is None:
            return None
        place = _enter(place, step)
    return place


def _enter(place: SchemaPlace, step: str | int) -> SchemaPlace | None:
    part = place.part
    if isinstance(step, int):
        return _resolve(part["items"], place.key) if isinstance(part.get("items"), dict) else None
    named = part.get("properties", {}).get(step)
    if named is not None:
        return None if _is_unusable(named) else _resolve(named, step)
    others = part.get("additionalProperties")
    return _resolve(others, place.key) if isinstance(others, dict) else None


def _resolve(part: Mapping[str, Any], key: str) -> SchemaPlace:
    name = part.get("$ref", "").removeprefix(_LOCAL)
    return SchemaPlace({**schema()["$defs"][name], **part}, name, key) if name else SchemaPlace(part, "", key)


def _is_unusable(part: Mapping[str, Any]) -> bool:
    return any(mark in part for mark in _UNUSABLE)


def list_keys(place: SchemaPlace, written: Iterable[str]) -> Iterator[tuple[str, SchemaPlace]]:
    """Yield the keys that may still be written into a mapping that has some, each with its own place."""
    present = set(written)
    fitting = _list_rule_keys(place, present) if place.is_rule else None
    one_only = place.part.get("maxProperties") == 1 and present
    for key, part in place.part.get("properties", {}).items():
        if key in present or one_only or _is_unusable(part) or (fitting is not None and key not in fitting):
            continue
        yield key, _resolve(part, key)


def list_rule_kinds() -> tuple[str, ...]:
    """Return the keys of which a rule has exactly one."""
    rule = schema()["$defs"]["rule"]
    names = (name for branch in rule["oneOf"] for name in branch.get("required", ()))
    return tuple(name for name in names if not _is_unusable(rule["properties"][name]))


def takes_test(kind: str) -> bool:
    """Return whether a kind of rule has a test beside it."""
    needed = schema()["$defs"]["rule"]["dependentSchemas"].get(kind, {})
    return bool(needed.get("$ref", "").endswith("/one_test"))


def _list_rule_keys(place: SchemaPlace, present: set[str]) -> set[str]:
    """Return the keys that fit those that a rule has: one kind, and beside some kinds one test."""
    kinds = set(list_rule_kinds())
    tests = set(place.part["properties"]) - kinds
    chosen = present & kinds
    if not chosen:
        return {kind for kind in kinds if takes_test(kind)} if present & tests else kinds
    return tests if all(takes_test(kind) for kind in chosen) and not present & tests else set()


def list_values(place: SchemaPlace) -> Iterator[tuple[str, str]]:
    """Yield the values that may stand at a place, as they are written, each with what it means."""
    part = place.part
    chosen = part.get("then", part) if place.is_rule else part
    meanings = chosen.get("markdownEnumDescriptions", ())
    for index, value in enumerate(chosen.get("enum", ())):
        if value not in _list_unbuilt_values(part):
            yield write_value(value), meanings[index] if index < len(meanings) else ""
    if place.is_rule:
        return
    if part.get("type") == "boolean" or "boolean" in part.get("type", ()):
        yield from (("true", ""), ("false", ""))
        return
    if "const" in part:
        yield write_value(part["const"]), ""
    elif "enum" not in part:
        yield from _list_suggestions(part)
    if part.get("x-unlimited"):
        yield "unlimited", "no limit"


def _list_suggestions(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    seen = {"unlimited"} if part.get("x-unlimited") else set()
    suggestions = [
        (part.get("default"), "the default"),
        *((each, "an example") for each in part.get("examples", ())),
    ]
    for value, meaning in suggestions:
        if isinstance(value, str | int | float) and value != "" and (text := write_value(value)) not in seen:
            seen.add(text)
            yield text, meaning


def _list_unbuilt_values(part: Mapping[str, Any]) -> set[str]:
    return {item["not"]["const"] for item in part.get("allOf", ()) if item.get("x-not-built")}


def write_value(value: Any) -> str:
    """Return a value as it is written in YAML, on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
