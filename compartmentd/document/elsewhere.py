"""What other systems call our keys and rules, and the key and form that do it here.

Other words come from Socket.IO and Express, Centrifugo, Pusher, Ably, SockJS, nginx, Keycloak, JSON Schema and
languages of queries. A word of this table is never judged by its likeness to one of ours: `and` is near to `any`,
which is its opposite. No entry proposes a rule that allows more than the word says; where a word may mean more or
less, the stricter form stands first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from compartmentd.document.elsewhere_keys import ANYWHERE, KEYS
from compartmentd.document.elsewhere_rules import RULE_KEYS, RULE_WORDS
from compartmentd.document.elsewhere_values import BY_VALUE
from compartmentd.document.spell import spell_flow


class Translation(NamedTuple):
    """A word of another system: `key` is the key here that it stands for, if it is one of the same mapping."""

    key: str | None
    help: str


def translate_key(definition: str, word: str, value: Any = None) -> Translation | None:
    """Return what an unknown key stands for, if it is a known word of another system.

    Args:
        definition: The name under `$defs` of the mapping in which the key stands; `top` for a whole file.
        word: The key.
        value: Its value, which the help repeats where that is useful.
    """
    word = normalize(word)
    by_value = BY_VALUE.get(definition, {}).get(word)
    meant = None if by_value is None else by_value(value)
    if meant is not None:
        return Translation(*meant)
    row = _KEYS.get(definition, {}).get(word)
    if row is None:
        row = _ANYWHERE.get(word)
    if row is None:
        return None
    key, help_ = row
    return Translation(key, _fill(help_, value))


def translate_rule_word(word: str) -> str | None:
    """Return the help for a word in place of a rule, if it is a known word of another system."""
    found = _WORDS.get(normalize(word))
    return None if found is None else found.replace("{word}", word.strip())


def normalize(word: str) -> str:
    """Return a word without the differences of spelling between systems: case, `_`, `-` and spaces."""
    return word.strip().lower().replace("_", "").replace("-", "").replace(" ", "")


def _fill(help_: str, value: Any) -> str:
    """Put a value into a help: `{value}` as it is, `{list}` as a list, `{one}` as one of its items."""
    if isinstance(value, dict):
        value = next(iter(value.values()), None)
    items = value if isinstance(value, list) else [value]
    told = items if value not in (None, True, False, [], {}) else ["NAME"]
    shown = {"value": value if told is items else "NAME", "list": told, "one": told[0]}
    for name, part in shown.items():
        help_ = help_.replace(f"{{{name}}}", spell_flow(part))
    return help_.replace("{several}", _SEVERAL if len(told) > 1 else "")


_SEVERAL = (
    "; join one condition each by `all` where all are needed; where one is enough, write `contains_any`"
)

_Row = tuple[str | None, str]


def _index(rows: Mapping[str, tuple[str | None, str]]) -> Mapping[str, _Row]:
    return {normalize(word): row for words, row in rows.items() for word in words.split()}


_KEYS: Mapping[str, Mapping[str, _Row]] = {
    definition: _index(rows) for definition, rows in {**KEYS, "rule": RULE_KEYS}.items()
}
_ANYWHERE = _index(ANYWHERE)
_WORDS: Mapping[str, str] = {
    normalize(word): help_ for words, help_ in RULE_WORDS.items() for word in words.split()
}
