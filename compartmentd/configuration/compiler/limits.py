"""Converts limits and other quantities to seconds, bytes and events per second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from compartmentd.document import units
from compartmentd.document.node import Node
from compartmentd.policy.model import Limits
from compartmentd.problems import Span


def _allow_unlimited(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda data: None if data == units.UNLIMITED else read(data)


size = units.parse_size
duration = units.parse_duration
duration_limit: Callable[[Any], float | None] = _allow_unlimited(units.parse_duration)
rate_limit: Callable[[Any], float | None] = _allow_unlimited(units.parse_rate)
size_limit: Callable[[Any], int | None] = _allow_unlimited(units.parse_size)
count_limit: Callable[[Any], int | None] = _allow_unlimited(int)

_LIMITS: Mapping[str, Callable[[Any], Any]] = {
    "message_size": size_limit,
    "message_rate": rate_limit,
    "byte_rate": rate_limit,
    "join_rate": rate_limit,
    "rooms_per_session": count_limit,
}
_SESSIONS = "sessions_per_user"
_OWN = ("message_rate", "byte_rate", "join_rate")


def merge_limits(outer: Limits, node: Node | None) -> Limits:
    """Return the limits of a namespace: its own keys override those of the top level."""
    if node is None:
        return outer
    spans = _merge_spans(outer, node, {})
    return msgspec.structs.replace(outer, **_read_limits(node), spans=spans)


def merge_room_limits(outer: Limits, node: Node | None) -> Limits:
    """Return the limits of a room: its `message_size` overrides the namespace's; its rates apply in addition."""
    if node is None:
        return outer
    own = _read_limits(node)
    spans = _merge_spans(outer, node, {key: f"own_{key}" for key in _OWN})
    rates = {f"own_{key}": own.pop(key) for key in _OWN if key in own}
    return msgspec.structs.replace(outer, **own, **rates, spans=spans)


def _merge_spans(outer: Limits, node: Node, names: Mapping[str, str]) -> tuple[tuple[str, Span], ...]:
    """Add the places of the limits of a node, by the names that `names` gives them, else their own."""
    declared = {*_LIMITS, _SESSIONS}
    own = {names.get(key, key): child.span for key, child in node.usable() if key in declared}
    return tuple({**dict(outer.spans), **own}.items())


def _read_limits(node: Node) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for key, child in node.usable():
        if key == _SESSIONS:
            limits |= _read_sessions(child)
        elif key in _LIMITS:
            limits[key] = _LIMITS[key](child.data)
    return limits


def _read_sessions(node: Node) -> dict[str, Any]:
    """Return `sessions_per_user`, which is inherited as a whole: a number does not inherit `when_full`."""
    if not isinstance(node.data, dict):
        return {_SESSIONS: count_limit(node.data), "replaces_oldest": False}
    written = {key: child.data for key, child in node.usable()}
    if "max" not in written:
        return {}  # a mistake that has been reported
    return {
        _SESSIONS: count_limit(written["max"]),
        "replaces_oldest": written.get("when_full") == "replace",
    }


def read_connection_limits(node: Node | None) -> dict[str, Any]:
    """Return the limits that only the top level has and that are written, as attributes of `Policy`."""
    if node is None:
        return {}
    found: dict[str, Any] = {}
    for key, child in node.usable():
        if key == "namespaces_per_connection":
            found[key] = count_limit(child.data)
        elif key == "mode":
            found["observes_limits"] = child.data == "observe"
    return found
