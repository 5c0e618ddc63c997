"""Suggests values of the right type in place of wrong ones, as YAML that can be pasted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compartmentd.document.bundled import schema
from compartmentd.document.elsewhere import translate_rule_word
from compartmentd.document.fast_fit import fits
from compartmentd.document.fault import Fault
from compartmentd.document.nearest import find_nearest
from compartmentd.document.spell import spell_entry, spell_flow

_NAME = re.compile(r"[A-Za-z0-9_.:/{}-]{1,64}")
_EVERY_WORD = ("all", "any", "*", "every")
_RULE_WORDS = ("public", "authenticated", "nobody", "members", "server")
_TESTS = (
    "equals", "one_of", "matches", "contains", "contains_any", "at_least", "at_most", "exists", "is",
)  # fmt: skip
_WORDS_OF_TRUE = ("true", "yes", "on", "1", "enabled")
_WORDS_OF_FALSE = ("false", "no", "off", "0", "disabled", "never")


def suggest_value(fault: Fault) -> str:
    """Return the help for a value of the wrong type; empty if it is not clear what was meant."""
    data, kinds = fault.node.data, [fault.wanted] if isinstance(fault.wanted, str) else list(fault.wanted)
    definition = fault.schema.get("x-definition", "")
    if definition == "rule":
        return suggest_rule(data)
    if isinstance(data, list) and (by_key := _OF_LISTS.get(fault.key)):
        return by_key(data)
    if "object" in kinds and (by_definition := _AS_MAPPING.get(definition or fault.key)):
        return by_definition(fault.key, data)
    if "array" in kinds and not isinstance(data, list):
        return _suggest_list(fault.key, data, fault.schema.get("examples", ()))
    if "boolean" in kinds and not isinstance(data, list | dict):
        return _suggest_boolean(data)
    return _suggest_scalar(fault.key, data, kinds)


def suggest_rule(data: Any) -> str:
    """Return the help for a value that is no rule."""
    if isinstance(data, list):
        shown = spell_flow(data)
        return f"write `{{all: {shown}}}` if all must hold, `{{any: {shown}}}` if one is enough"
    if not isinstance(data, str):
        return translate_rule_word(str(data).lower()) or ""
    translated = translate_rule_word(data)
    if translated is not None:
        return translated
    near = find_nearest(data, _RULE_WORDS, cutoff=0.75)
    if near is not None:
        return f"did you mean `{near}`?"
    kind = "scope" if ":" in data or "." in data else "rule"
    return (
        f"write `{{{kind}: {spell_flow(data)}}}` if a {kind if kind == 'scope' else 'named rule'} is meant"
        if _NAME.fullmatch(data)
        else ""
    )


def suggest_event_in_list(data: Mapping[str, Any]) -> str:
    """Return the help for an event with settings as an item of a list, in place of a mapping of events."""
    settings = dict(data)
    name = settings.pop("name", None)
    events = {name: settings} if isinstance(name, str) else settings
    meant = {
        each: {"publish": about} if about in _RULE_WORDS else {} if about is None else about
        for each, about in events.items()
    }
    return f"write a mapping in place of the list: `{spell_entry('events', meant)}`"


def suggest_address(data: Any) -> str:
    """Return an address for a port, a URL or a host without a port; the text itself if nothing is missing."""
    text = str(data).partition("://")[2] or str(data)
    host, colon, port = text.rstrip("/").rpartition(":")
    if not colon:
        host, port = (host, port) if port.isdecimal() else (port, "8000")
    return f"{host or '127.0.0.1'}:{port}"


def suggest_origin(data: Any) -> str:
    """Return an origin for a host, or a URL with a path."""
    text = str(data).strip()
    scheme, colon, rest = text.partition("://")
    if text in {"*", "null"} or text.startswith("file:"):
        return text
    host = (rest if colon else text).partition("/")[0].lower()
    return f"{scheme.lower() if colon else 'http' if host.startswith('localhost') else 'https'}://{host}"


def _suggest_list(key: str, data: Any, examples: Sequence[Any]) -> str:
    if isinstance(data, dict):
        parts = _split_conditions(data) if key in ("all", "any") else []
        if parts:
            return f"write a list of rules: `{key}: {spell_flow(parts)}`"
        return "write a list: begin each item with `-`"
    if isinstance(data, bool):
        if key == "admin" and not data:
            return "leave it out: the admin socket is always there, and nothing else then"
        return f"write a list, as in `{key}: {spell_flow(examples[0])}`" if key and examples else ""
    if key == "issuers" and str(data).lower() in _EVERY_WORD:
        return "name each entry of `issuers` that is meant, as in `issuers: [corp]`"
    if key in ("listen", "admin"):
        return f"write `{key}: {spell_flow([suggest_address(data)])}`"
    if key == "origins":
        return f"write `{key}: {spell_flow([suggest_origin(data)])}`"
    # One text may be several words, as people write lists elsewhere.
    words = str(data).replace(",", " ").split() if isinstance(data, str) and key != "include" else [data]
    return f"write a list: `{key}: {spell_flow(words)}`" if key else f"write a list: {spell_flow(words)}"


def _split_conditions(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rules that a mapping stands for, each with its test; none if one of them would be no rule."""
    subjects = [key for key in ("claim", "param") if key in data]
    tests = {key: value for key, value in data.items() if key in _TESTS}
    parts: list[dict[str, Any]] = []
    for key, value in data.items():
        if key in subjects:
            parts.append({key: value, **tests})
        elif key not in tests:
            parts.append({key: value})
    rule = schema()["$defs"]["rule"]
    return parts if len(subjects) < 2 and parts and all(fits(rule, part) for part in parts) else []


def _suggest_boolean(data: Any) -> str:
    word = str(data).lower()
    if word in _WORDS_OF_TRUE:
        return "write `true`, without quotes"
    return "write `false`, without quotes" if word in _WORDS_OF_FALSE else "write `true` or `false`"


def _suggest_scalar(key: str, data: Any, kinds: list[str]) -> str:
    if isinstance(data, dict) and "string" in kinds:
        if list(data.values()) == [None]:
            return f'placeholders need quotes: "{{{next(iter(data))}}}"'
        return ""
    if isinstance(data, list):
        return f"write one: `{key}: {spell_flow(data[0])}`" if len(data) == 1 and key else ""
    if "string" in kinds:
        return f'write it in quotes: "{spell_flow(data)}"'
    return "write a number, without quotes" if {"integer", "number"} & set(kinds) else ""


# --- lists in place of one value ----------------------------------------------------------------------------


def _each(key: str, items: list[Any]) -> str:
    return ", ".join(f"{{{key}: {spell_flow(item)}}}" for item in items[:3])


_OF_LISTS: Mapping[str, Callable[[list[Any]], str]] = {
    "scope": lambda data: (
        f"write `all_scopes: {spell_flow(data)}` if all are needed, "
        f"`any_scope: {spell_flow(data)}` if one is enough"
    ),
    "equals": lambda data: f"write `one_of: {spell_flow(data)}`: it is one of these",
    "matches": lambda data: (
        f"write one pattern, with `|` between the alternatives: {spell_flow('|'.join(map(str, data)))}"
    ),
    "contains": lambda data: (
        f"join one condition each by `all: [...]` if all are needed; "
        f"write `contains_any: {spell_flow(data)}` if one is enough"
    ),
    "rule": lambda data: f"write `{{all: [{_each('rule', data)}]}}` if all must hold, `any` if one is enough",
    "member_of": lambda data: (
        f"write `{{all: [{_each('member_of', data)}]}}` if all are needed, `any` if one is enough"
    ),
    "param": lambda _data: "write one condition for each parameter, joined by `all: [...]`",
    "not": lambda data: f"write `not: {{any: {spell_flow(data)}}}`: none of them may hold",
}


# --- other values in place of a mapping ----------------------------------------------------------------------


def _name_item(item: Any, number: int) -> str:
    if isinstance(item, dict):
        named = [item[key] for key in ("name", "id", "room", "template", "namespace", "path") if key in item]
        return str(named[0]) if named else str(next(iter(item), f"NAME{number}"))
    return str(item)


def _suggest_names(inner: str) -> Callable[[str, Any], str]:
    """Return the help for names, given as a list or text, of which each should have a mapping."""

    def suggest(key: str, data: Any) -> str:
        names = [
            _name_item(item, number)
            for number, item in enumerate(data if isinstance(data, list) else [data], 1)
        ]
        first = spell_flow(names[0]) if names and data is not None else "NAME"
        return f"write names with their settings, as in `{key}: {{{first}: {inner}}}`"

    return suggest


def _suggest_entry(key_of_value: str, other: str = "") -> Callable[[str, Any], str]:
    """Return the help for a value that stands for a whole mapping of which it is one key."""

    def suggest(key: str, data: Any) -> str:
        value = "..." if data is None or isinstance(data, bool) else spell_flow(data)
        return f"write `{spell_flow(key)}: {{{key_of_value}: {value}{other}}}`"

    return suggest


def _suggest_place(rule: str) -> Callable[[str, Any], str]:
    def suggest(key: str, data: Any) -> str:
        known = isinstance(data, str) and data in {"public", "authenticated", "nobody", "server"}
        return f"write `{spell_flow(key)}: {{{rule}: {data if known else 'authenticated'}}}`, or another rule"

    return suggest


def _suggest_param(key: str, data: Any) -> str:
    if isinstance(data, list):
        return f"write `{key}: {{one_of: {spell_flow(data)}}}`"
    if str(data).lower() in ("int", "integer", "number"):
        return f"write `{key}: {{integer: {{min: 1}}}}`"
    return f"write `{key}: {{pattern: {spell_flow('[a-z0-9-]{1,40}' if data is None else data)}}}`"


def _suggest_auto_join(key: str, data: Any) -> str:
    claim = spell_flow(data) if isinstance(data, str) else "CLAIM"
    return f"write `{key}: {{PARAMETER: {claim}}}`, or `true` without parameters"


def _suggest_event(key: str, data: Any) -> str:
    if isinstance(data, str) and data in _RULE_WORDS:
        return f"write `{spell_flow(key)}: {{publish: {data}}}`, beside the place's own `publish`"
    if isinstance(data, str) and data.endswith(".json"):
        return f"write `{spell_flow(key)}: {{schema: {spell_flow(data)}}}`"
    return f"write `{spell_flow(key)}: {{}}`, or give it a schema: `{spell_flow(key)}: {{schema: FILE}}`"


def _suggest_events(key: str, data: Any) -> str:
    if isinstance(data, str) and data.lower() in _EVERY_WORD:
        return f"no word stands for all events: list their names, as in `{key}: [message, typing]`"
    words = data.replace(",", " ").split() if isinstance(data, str) else []
    return f"write a list of the names: `{key}: {spell_flow(words or ['message'])}`"


_AS_MAPPING: Mapping[str, Callable[[str, Any], str]] = {
    "rooms": _suggest_names("{join: authenticated}"),
    "namespaces": _suggest_names("{connect: authenticated}"),
    "issuers": _suggest_names("{issuer: ..., audience: ...}"),
    "rules": _suggest_names("{claim: roles, contains: staff}"),
    "params": _suggest_names("{pattern: ...}"),
    "namespace": _suggest_place("connect"),
    "room": _suggest_place("join"),
    "issuer": _suggest_entry("issuer", ", audience: ..."),
    "server": _suggest_entry("listen"),
    "tls": _suggest_entry("cert", ", key: ..."),
    "logout": _suggest_entry("audience"),
    "limits": _suggest_entry("message_rate"),
    "room_limits": _suggest_entry("message_rate"),
    "log": _suggest_entry("decisions"),
    "integer": lambda _key, _data: "write `integer: {min: 1, max: 99}`, or `integer: {}` for all from 0",
    "require": lambda _key, _data: "write claims with their values, as in `require: {token_use: access}`",
    "param": _suggest_param,
    "auto_join": _suggest_auto_join,
    "event": _suggest_event,
    "events": _suggest_events,
}
"""By the name of the mapping in the schema, or else by its key."""
