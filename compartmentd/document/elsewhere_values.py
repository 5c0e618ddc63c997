"""Words of other systems whose meaning depends on the value that is written.

A function returns the key here that the word stands for and the help, or `None` where the row of
`elsewhere_keys` or `elsewhere_rules` says enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from compartmentd.document.spell import spell_entry, spell_flow

WordMeaning: TypeAlias = tuple[str | None, str]

_OF_AN_EVENT = frozenset({"schema", "volatile", "publish"})


def _single(key: str) -> Callable[[Any], WordMeaning | None]:
    """Return the meaning of the plural of `claim` or `param`."""

    def translate(value: Any) -> WordMeaning | None:
        if isinstance(value, str) and value:
            return key, f"did you mean `{key}`? A condition tests one: `{key}: {spell_flow(value)}`"
        if not isinstance(value, dict) or not value:
            return None
        if any(part is None or isinstance(part, dict | list) for part in value.values()):
            return None
        parts = [{key: name, "equals": part} for name, part in value.items()]
        return None, f"write `{spell_flow(parts[0] if len(parts) == 1 else {'all': parts})}`"

    return translate


def _translate_sending(value: Any) -> WordMeaning | None:
    """Return the meaning of a word for sending: with names it lists events, with a rule it is `publish`."""
    names = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
    return ("events", f"write `events: {spell_flow(value)}`, the names of the events") if names else None


def _translate_event(value: Any) -> WordMeaning | None:
    if not isinstance(value, dict) or not value:
        return None
    if value.keys() <= _OF_AN_EVENT:
        return "events", f"write `{spell_entry('events', {'message': value})}`"
    return "events", "did you mean `events`? The mapping stays as it is"


_IN_A_PLACE: Mapping[str, Callable[[Any], WordMeaning | None]] = {
    **dict.fromkeys(("write", "send", "broadcast", "emit", "pub"), _translate_sending),
    **dict.fromkeys(("message", "messages", "event", "types"), _translate_event),
}

BY_VALUE: Mapping[str, Mapping[str, Callable[[Any], WordMeaning | None]]] = {
    "rule": {
        "claims": _single("claim"),
        **dict.fromkeys(("params", "parameter", "parameters"), _single("param")),
    },
    "room": _IN_A_PLACE,
    "namespace": _IN_A_PLACE,
}
"""By the name of the mapping in the schema, and the word without differences of spelling."""
