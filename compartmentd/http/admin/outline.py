"""The configuration in force as the playground shows it: names, forms and descriptions, without rules.

The page quotes the rules from the file, by the lines that decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compartmentd.configuration.settings import Configuration
from compartmentd.control.requests import JsonObject
from compartmentd.http.admin.people import find_people
from compartmentd.policy.model import Event, IntegerParam, Namespace, OneOfParam, Param, RoomTemplate


def build_outline(configuration: Configuration, path: str, public_url: str) -> JsonObject:
    """Return the people, namespaces, rooms and events that the page offers.

    Args:
        configuration: the configuration in force.
        path: its main file; the people come from the policy tests beside it.
        public_url: the origin of the public listener.
    """
    people = find_people(path)
    server = configuration.server
    return {
        "file": path,
        "public": {"url": public_url, "path": server.path, "transports": list(server.transports)},
        "people": [{"name": name, "claims": claims} for name, claims in people.claims.items()],
        "entries": [
            {"name": entry.name, "issuer": entry.issuer, "scopes": list(entry.scopes)}
            for entry in configuration.issuers
            if "connect" in entry.use
        ],
        "namespaces": [
            _describe_namespace(namespace, people.rooms.get(namespace.name, ()))
            for namespace in configuration.policy.namespaces.values()
        ],
    }


def _describe_namespace(namespace: Namespace, tried: tuple[str, ...]) -> dict[str, Any]:
    """Describe a namespace; `tried` are rooms that the tests speak of, as suggestions."""
    return {
        "name": namespace.name,
        "description": namespace.description,
        "line": namespace.span.line,
        "events": _describe_events(namespace.events),
        "rooms": [_describe_room(room) for room in namespace.rooms],
        "tried": list(tried),
    }


def _describe_room(room: RoomTemplate) -> dict[str, Any]:
    return {
        "template": room.name,
        "pattern": list(room.pattern),
        "params": [_describe_param(param) for param in room.params],
        "description": room.description,
        "file": room.span.file,
        "line": room.span.line,
        "events": _describe_events(room.events),
        "auto_join": None if room.auto_join is None else dict(room.auto_join.claims),
        "capacity": room.capacity,
        "echo": room.echo,
    }


def _describe_param(param: Param) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": param.name, "kind": "pattern"}
    if isinstance(param, IntegerParam):
        shown |= {"kind": "integer", "low": param.low, "high": param.high}
    if isinstance(param, OneOfParam):
        shown |= {"kind": "one_of", "values": list(param.values)}
    return shown


def _describe_events(events: Mapping[str, Event]) -> list[dict[str, Any]]:
    return [
        {"name": event.name, "schema": event.schema is not None, "volatile": event.volatile}
        for event in events.values()
    ]
