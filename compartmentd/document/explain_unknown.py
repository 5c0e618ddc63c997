"""Explains unknown keys: words of other systems, keys that belong elsewhere, and misspelt ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from compartmentd.document.bundled import schema
from compartmentd.document.elsewhere import normalize, translate_key
from compartmentd.document.fast_fit import fits
from compartmentd.document.nearest import find_nearest
from compartmentd.document.node import Node
from compartmentd.document.spell import find_invisible, show_invisible, spell_flow
from compartmentd.document.suggest import suggest_address, suggest_origin

_PLACES: Mapping[str, tuple[str, str]] = {
    "server": ("`server`", "server: {{{key}}}"),
    "limits": ("`limits`", "limits: {{{key}}}"),
    "log": ("`log`", "log: {{{key}}}"),
    "tls": ("`tls` of `server`", "server: {{tls: {{{key}}}}}"),
    "namespace": ("a namespace", "namespaces: {{/: {{{key}}}}}"),
    "room": ("a room", "rooms: {{lobby: {{{key}}}}}"),
    "event": ("an event", "events: {{message: {{{key}}}}}"),
    "param": ("a parameter", "params: {{project: {{{key}}}}}"),
    "issuer": ("an entry of `issuers`", "issuers: {{corp: {{{key}}}}}"),
    "rule": ("a rule", "join: {{{key}}}"),
}
"""Where the keys of each mapping stand, and how that is written."""

_BY_TEXT = {"listen": suggest_address, "admin": suggest_address, "origins": suggest_origin}
"""Keys whose values are lists, with what makes an item of a text that is not quite one."""

_TOP = ("the top of the file", "{key}")


class KeyMeaning(NamedTuple):
    """What an unknown key was probably meant to be: `key` is a key of the same mapping, if it is one."""

    key: str | None
    help: str


def explain_unknown_key(definition: str, known: list[str], key: str, node: Node) -> KeyMeaning:
    """Return what an unknown key was probably meant to be, with the help.

    Args:
        definition: The name of the mapping in the schema.
        known: The keys that can be used there.
        key: The unknown key.
        node: Its value.
    """
    if find_invisible(key) is not None:
        return _explain_invisible(known, key)
    name, separator, rest = key.replace(" ", ":", 1).partition(":")
    if separator and name in known and node.data is None:
        return KeyMeaning(name, f"write a space after the `:`, as in `{name}: {rest.strip() or 'VALUE'}`")
    child = _explain_nesting(definition, key, node)
    if child is not None:
        return KeyMeaning(None, child)
    translated = translate_key(definition, key, node.data)
    if translated is not None:
        return KeyMeaning(translated.key if translated.key in known else None, translated.help)
    same = {normalize(name): name for name in known}.get(normalize(key))
    same = same or (None if definition == "rule" else find_nearest(key, known, cutoff=0.85))
    elsewhere = None if same else _explain_place(definition, key, node)
    if elsewhere is not None:
        return KeyMeaning(None, elsewhere)
    near = same or find_nearest(key, known)
    if near:
        return KeyMeaning(near, f"did you mean `{near}`?")
    listed = f"known here are {', '.join(map('`{}`'.format, known))}"
    if definition == "rule" and not isinstance(node.data, dict | list) and node.data is not None:
        listed = (
            f"a claim is tested by `{{claim: {spell_flow(key)}, equals: {spell_flow(node.data)}}}`; {listed}"
        )
    return KeyMeaning(None, listed)


def guess_key(definition: str, known: list[str], key: str) -> str | None:
    """Return the key of the same mapping that an unknown one was probably meant to be."""
    translated = translate_key(definition, key)
    return translated.key if translated is not None else find_nearest(key, known)


def _explain_invisible(known: list[str], key: str) -> KeyMeaning:
    at = find_invisible(key) or 0
    clean = "".join(character for character in key if find_invisible(character) is None).strip()
    where = "before it" if not key[:at].strip() else "in it"
    found = find_nearest(clean, known) if clean else None
    return KeyMeaning(
        found,
        f"remove U+{ord(key[at]):04X} {where}, which no editor shows: write `{show_invisible(clean)}`",
    )


def _explain_nesting(definition: str, key: str, node: Node) -> str | None:
    """Explain a namespace, room or entry that stands beside the mapping to which it belongs."""
    data = node.data if isinstance(node.data, dict) else {}
    if definition in ("top", "included") and (key.startswith("/") or "connect" in data):
        return f"a namespace stands under `namespaces`: {_show_nested('namespaces', key, 'connect: RULE')}"
    if definition == "top" and {"issuer", "audience"} & data.keys():
        return (
            f"an entry stands under `issuers`: {_show_nested('issuers', key, 'issuer: ..., audience: ...')}"
        )
    is_room = "{" in key or {"join", "params", "auto_join", "events", "publish"} & data.keys()
    if definition == "namespace" and is_room:
        return f"a room stands under `rooms`: {_show_nested('rooms', key, 'join: RULE')}"
    return None


def _show_nested(section: str, key: str, inner: str) -> str:
    return f"indent it further, or write `{section}: {{{spell_flow(key)}: {{{inner}}}}}`"


def _explain_place(definition: str, key: str, node: Node) -> str | None:
    found = [(place, name) for place, name in _list_places().get(normalize(key), ()) if place != definition]
    if not found:
        return None
    place, name = found[0]
    where, form = _TOP if place == "top" else _PLACES[place]
    value = _choose_value(place, name, node.data)
    return f"`{name}` stands in {where}: write `{form.format(key=f'{name}: {value}')}`".replace(
        "in the top", "at the top"
    )


@cache
def _list_places() -> Mapping[str, list[tuple[str, str]]]:
    """Return the mappings in which each key stands, by its normalized name, the usual ones first."""
    found: dict[str, list[tuple[str, str]]] = {}
    whole = schema()
    for place, part in (("top", whole), *((name, whole["$defs"][name]) for name in _PLACES)):
        for name, about in part["properties"].items():
            if not about.keys() & {"x-refused", "x-not-built"}:
                found.setdefault(normalize(name), []).append((place, name))
    return found


def _choose_value(place: str, name: str, data: Any) -> str:
    """Return the value as it is written, if it fits where the key belongs, or else an example."""
    part = (schema() if place == "top" else schema()["$defs"][place])["properties"][name]
    if data is not None and fits(part, data):
        return spell_flow(data)
    if name in _BY_TEXT and not isinstance(data, dict | list) and data not in (None, True, False):
        return spell_flow([_BY_TEXT[name](data)])
    if (
        part.get("type") == "array"
        and not isinstance(data, dict | list)
        and data is not None
        and fits(part, [data])
    ):
        return spell_flow([data])
    return spell_flow(part["examples"][0])
