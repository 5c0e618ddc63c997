"""Finds mappings that stand in the wrong place as a whole, so that one problem says so in place of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compartmentd.document.bundled import schema
from compartmentd.document.node import Node
from compartmentd.document.spell import spell_entry
from compartmentd.problems import Problem

_RULE_WORDS = frozenset({"public", "authenticated", "nobody", "members", "server"})


def find_misplaced(root: Node, faulty: Mapping[tuple[str | int, ...], Node]) -> Iterator[Problem]:
    """Yield a problem for each misplaced mapping, and mark it as broken.

    Args:
        root: The document.
        faulty: The values that do not fit the schema, by their paths.
    """
    namespaces = root.fields.get("namespaces")
    if namespaces is not None:
        yield from _find_keys_of_namespace(namespaces)
    for path, node in faulty.items():
        if node.broken or not isinstance(node.data, dict) or not node.data:
            continue
        if path[-1:] == ("publish",) and path[-3:-2] != ("events",):
            yield from _find_rules_of_events(node)
        elif path[-2:-1] == ("events",):
            yield from _find_rule_in_event(node, str(path[-1]))


def _find_keys_of_namespace(namespaces: Node) -> Iterator[Problem]:
    """Find keys of a namespace that are indented as if they were namespaces; all are told in one problem."""
    known = _get_keys("namespace")
    found = [(key, child) for key, child in namespaces.fields.items() if key in known and not child.broken]
    if not found:
        return
    for _, child in found:
        child.broken = True
    key, child = found[0]
    before = [
        name for name in list(namespaces.fields)[: list(namespaces.fields).index(key)] if name[:1] == "/"
    ]
    several = " and the keys beside it" if len(found) > 1 else ""
    help_ = (
        f"indent `{key}`{several} further, so that it stands under `{before[-1]}`"
        if before
        else "write the namespace above it, such as `/:`, and indent it further"
    )
    yield Problem(
        "error", "schema.name", f"`{key}` is a key of a namespace, not one itself", child.key_span, help_
    )


def _find_rules_of_events(node: Node) -> Iterator[Problem]:
    """Find a mapping of events to rules in place of the rule of `publish`."""
    if node.data.keys() & _get_keys("rule") or not all(map(_is_rule, node.data.values())):
        return
    node.broken = True
    word = "members" if "members" in node.data.values() else "authenticated"
    shown = spell_entry("events", {name: {"publish": rule} for name, rule in node.data.items()})
    message = "`publish` is one rule for all events, and this has one for each"
    help_ = f"write `publish: {word}`, and beside it the rules of single events: `{shown}`"
    yield Problem("error", "schema.form", message, node.key_span, help_)


def _find_rule_in_event(node: Node, name: str) -> Iterator[Problem]:
    """Find a condition in place of the settings of an event."""
    if node.data.keys() & _get_keys("event") or not _is_rule(node.data):
        return
    node.broken = True
    shown = spell_entry(name, {"publish": node.data})
    message = f"`{name}` holds a rule in place of the settings of an event"
    yield Problem(
        "error", "schema.form", message, node.key_span, f"write `{shown}`, beside the place's `publish`"
    )


def _is_rule(data: Any) -> bool:
    if isinstance(data, dict):
        return bool(data) and data.keys() <= _get_keys("rule")
    return isinstance(data, str) and data in _RULE_WORDS


def _get_keys(definition: str) -> frozenset[str]:
    properties: Mapping[str, Any] = schema()["$defs"][definition]["properties"]
    return frozenset(properties)
