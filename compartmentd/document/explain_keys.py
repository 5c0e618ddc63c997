"""Explains wrong keys of mappings: unknown ones, missing ones, and too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema.exceptions import ValidationError

from compartmentd.document.explain_unknown import explain_unknown_key
from compartmentd.document.fault import Fault, quote_value
from compartmentd.document.node import Node
from compartmentd.document.spell import spell_flow
from compartmentd.problems import Problem, Span
from compartmentd.util.regex import compile_pattern

_CHOICES = ("anyOf", "oneOf", "maxProperties", "minProperties")
STRUCTURE = frozenset({"additionalProperties", "required", *_CHOICES})
"""The keywords that speak of a mapping's keys."""


def explain_name(parent: Node, error: ValidationError) -> Iterator[Problem]:
    """Yield the problem of a key that is not a valid name."""
    child = parent.fields[str(error.instance)]
    if child.broken:
        return
    child.broken = True
    schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]  # no schema of ours is `false`
    told = schema.get("x-form", {"what": "a name", "write": "at least one character"})
    yield Problem(
        "error",
        "schema.name",
        f"{quote_value(error.instance)} is not {told['what']}",
        child.key_span,
        _suggest_namespace(str(error.instance), schema) or f"write {told['write']}",
    )


def _suggest_namespace(name: str, schema: Mapping[str, Any]) -> str:
    """Return the help for the name of a namespace that lacks its `/`."""
    pattern = schema.get("pattern", "")
    fits = pattern.startswith("^/") and compile_pattern(pattern).search(f"/{name}")
    return f"write `/{name}`" if fits else ""


def explain_structure(node: Node, faults: Sequence[Fault]) -> Iterator[Problem]:
    """Yield the problems of the keys that a mapping has or lacks."""
    unknown = [
        pair
        for fault in faults
        if fault.keyword == "additionalProperties"
        for pair in _explain_unknown_keys(fault)
    ]
    yield from (problem for problem, _ in unknown)
    for fault in faults:
        if fault.keyword == "required":
            # A misspelt key is not reported as missing, too.
            yield from _explain_missing(fault, {near for _, near in unknown})
    yield from _explain_choices(
        node, [fault for fault in faults if fault.keyword in _CHOICES], misspelt=bool(unknown)
    )


def _explain_choices(node: Node, faults: Sequence[Fault], *, misspelt: bool) -> Iterator[Problem]:
    # A test without a claim is reported as such, not as a rule without a kind: `anyOf` comes first.
    for fault in sorted(faults, key=lambda fault: _CHOICES.index(fault.keyword))[:1]:
        node.broken = True
        present = len(_list_present(fault))
        if present > 1 or not (present or misspelt or _has_refused(fault) or _has_unbuilt(fault)):
            yield _explain_choice(fault)


def _has_refused(fault: Fault) -> bool:
    return any(fault.node.has_refused(key) for key in _list_options(fault))


def _has_unbuilt(fault: Fault) -> bool:
    # A key that is not built yet, such as a preset, may have supplied the missing one.
    return any("x-not-built" in _get_properties(fault).get(key, {}) for key in fault.node.fields)


def _explain_unknown_keys(fault: Fault) -> Iterator[tuple[Problem, str]]:
    known = _list_usable_keys(fault.schema["properties"])
    for key, child in fault.node.fields.items():
        if key not in fault.schema["properties"] and not child.broken:
            child.broken = True
            meant = explain_unknown_key(fault.schema.get("x-definition", ""), known, key, child)
            message = f"unknown key {quote_value(key)}"
            yield (
                Problem("error", "schema.unknown-key", message, child.key_span, meant.help),
                meant.key or "",
            )


def _list_usable_keys(properties: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, schema in properties.items() if not schema.keys() & {"x-refused", "x-not-built"}]


def _explain_missing(fault: Fault, meant: set[str]) -> Iterator[Problem]:
    about = fault.schema.get("x-about", {})
    for key in fault.wanted:
        if key not in fault.node.fields and key not in meant and not fault.node.has_refused(key):
            where = fault.node.key_span if fault.node.key_mark else _span_beginning(fault.node)
            yield Problem(
                "error", "schema.missing", f"{fault.name} lacks `{key}`", where, _show_key(key, about[key])
            )


def _show_key(key: str, part: Mapping[str, Any]) -> str:
    """Return how a missing key is written, and what it is for."""
    is_rule = part.get("$ref") == "#/$defs/rule"
    purpose = part["description"].partition(". ")[0].rstrip(".")
    example = "authenticated" if is_rule else spell_flow(part["examples"][0])
    return f"add it, for example `{key}: {example}` ({purpose[:1].lower()}{purpose[1:]})"


def _span_beginning(node: Node) -> Span:
    line, column = node.mark[:2]
    return Span(node.file, line, column, line, column)


def _list_options(fault: Fault) -> list[str]:
    if fault.keyword in ("oneOf", "anyOf"):
        return [name for branch in fault.wanted for name in branch.get("required", ())]
    return list(fault.schema.get("properties", ()))


def _list_present(fault: Fault) -> list[str]:
    return [key for key in fault.node.fields if key in _list_options(fault)]


def _explain_choice(fault: Fault) -> Problem:
    told = fault.schema.get("x-choice", {"what": "key", "write": "write at least one"})
    where = fault.node.key_span if fault.node.key_mark else fault.node.span
    present = _list_present(fault)
    if present:
        message = f"more than one {told['what']}: {' and '.join(f'`{key}`' for key in present)}"
        return Problem("error", "schema.choice", message, where, told["write"])
    unusable = set(_get_properties(fault)) - set(_list_usable_keys(_get_properties(fault)))
    built = [name for name in _list_options(fault) if name not in unusable]
    help_ = f"{told['write']}: {', '.join(f'`{name}`' for name in built)}"
    return Problem("error", "schema.choice", f"{fault.name} lacks a {told['what']}", where, help_)


def _get_properties(fault: Fault) -> Mapping[str, Any]:
    found: Mapping[str, Any] = fault.schema.get("properties", {})
    return found
