"""The configuration in force as the playground shows it: names, forms and descriptions, without rules.

The page quotes the rules from the file, by the lines that decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compartmentd.analysis.examples import find_sources, suggest_people, suggest_rooms
from compartmentd.configuration.settings import Configuration
from compartmentd.control.requests import JsonObject
from compartmentd.http.admin.people import find_people
from compartmentd.keys.development import explain_unmintable, find_mintable
from compartmentd.policy.model import (
    Event,
    IntegerParam,
    Namespace,
    Nobody,
    OneOfParam,
    Param,
    Public,
    RoomTemplate,
    Rule,
)
from compartmentd.policy.rules.traverse import resolve_rule
from compartmentd.policy.ruleset import Ruleset


def build_outline(configuration: Configuration, ruleset: Ruleset, path: str, public_url: str) -> JsonObject:
    """Return the people, namespaces, rooms and events that the page offers.

    Args:
        configuration: the configuration in force.
        ruleset: its policy, prepared for decisions.
        path: its main file; the people come from the policy tests beside it.
        public_url: the origin of the public listener.
    """
    people = find_people(path)
    server = configuration.server
    mintable = find_mintable(configuration.issuers)
    claims = people.claims or (suggest_people(ruleset) if mintable else {})
    return {
        "file": path,
        "public": {"url": public_url, "path": server.path, "transports": list(server.transports)},
        "unmintable": None if mintable else explain_unmintable(configuration.issuers),
        "people": [{"name": name, "claims": given} for name, given in claims.items()],
        "entries": [
            {
                "name": entry.name,
                "issuer": entry.issuer,
                "scopes": list(entry.scopes),
                "mintable": entry.name in mintable,
            }
            for entry in configuration.issuers
            if "connect" in entry.use
        ],
        "namespaces": [
            _describe_namespace(ruleset, namespace, people.rooms.get(namespace.name, ()))
            for namespace in configuration.policy.namespaces.values()
        ],
    }


def _describe_namespace(ruleset: Ruleset, namespace: Namespace, tried: tuple[str, ...]) -> dict[str, Any]:
    """Describe a namespace; `tried` are rooms that the tests speak of, as suggestions.

    `open` says that a token is not needed, and `speaks`, of a place, that somebody may publish there.
    """
    rules, examples = ruleset.policy.rules, suggest_rooms(ruleset, namespace)
    return {
        "name": namespace.name,
        "description": namespace.description,
        "line": namespace.span.line,
        "open": isinstance(resolve_rule(namespace.connect, rules), Public),
        "speaks": _may_anybody_speak(namespace, rules),
        "events": _describe_events(namespace.events),
        "rooms": [_describe_room(room, rules, examples.get(room.name, ())) for room in namespace.rooms],
        "tried": list(tried),
    }


def _may_anybody_speak(place: Namespace | RoomTemplate, rules: Mapping[str, Rule]) -> bool:
    """Return whether a message can be allowed in a place: an event is declared whose rules are not `nobody`."""
    if isinstance(resolve_rule(place.publish, rules), Nobody):
        return False
    return any(
        event.publish is None or not isinstance(resolve_rule(event.publish, rules), Nobody)
        for event in place.events.values()
    )


def _describe_room(
    room: RoomTemplate, rules: Mapping[str, Rule], examples: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "template": room.name,
        "pattern": list(room.pattern),
        "params": [_describe_param(param) for param in room.params],
        "description": room.description,
        "file": room.span.file,
        "line": room.span.line,
        "speaks": _may_anybody_speak(room, rules),
        "examples": list(examples),
        "sources": find_sources(room, rules),
        "events": _describe_events(room.events),
        "auto_join": room.auto_join is not None,
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
