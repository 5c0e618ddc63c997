"""The page of every configuration key, from the JSON Schema: an option is described there and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from compartmentd.document.bundled import schema as bundled_schema
from compartmentd.document.units import Unit
from docs.generate.markdown import code, codes, flow, heading, join_page, table


class Section(NamedTuple):
    """A mapping of the configuration: its heading, its definition in the schema, and the keys that lead to it."""

    title: str
    definition: str
    path: tuple[str, ...]


INTRODUCTIONS: Mapping[str, str] = {
    "issuer": (
        "An entry says whose tokens count, and for what. A token's `iss` picks the entry; a subject is "
        "always the pair of entry and `sub`, so that two issuers cannot be confused. A token that is "
        "present and bad is refused everywhere, also where none would be needed. Paths are relative to the "
        "file that names them. An entry has at most one source of public keys: `discovery`, `jwks_url`, "
        "`jwks_file` or `public_key_file`; beside or instead of it a secret: `secret_file`, `secret_env`. Without "
        "any, OpenID discovery at `issuer` finds the keys."
    ),
    "limits": (
        "Limits merge key by key, from the top over the namespace to the room. Each has a default and is "
        "`unlimited` where you write that. Rates count for each session; what is taken of one is kept by "
        "user, or by network without a token, until it has come back. `namespaces_per_connection` and `mode` "
        "stand here alone."
    ),
    "room_limits": "These take the place of the namespace's. A room's own rate counts for the room in "
    "addition.",
    "param": (
        "Exactly one of these; a parameter without an entry is `[A-Za-z0-9_.@|-]{1,128}`. Names of rooms "
        "are compared as they come: nothing is trimmed, folded or decoded. Two templates that share a room "
        "are an error that names such a room, and so is a template that can be read in two ways; a room "
        "without parameters goes before the templates that fit it."
    ),
    "rule": (
        "A rule is one of the words `public`, `authenticated`, `nobody`, `members` (for `publish`, alone) "
        "and `server` (for `join`), or a mapping of exactly one kind; `claim` and `param` have exactly one "
        "test. `{name}` stands for the room's parameter in scopes, in the values of tests, in the items of "
        "a path after the first, and in `member_of`. [Rules](../concepts/rules.md) says when a rule is "
        "true, false or unknown."
    ),
}
"""What is said before the keys of a definition."""

QUANTITIES: Mapping[Unit, tuple[str, str]] = {
    "size": ("an integer with `B`, `KiB`, `MiB` or `GiB`", "64KiB"),
    "duration": ("an integer with `ms`, `s`, `m`, `h` or `d`", "30s"),
    "rate": ("an integer with `/s`, `/m` or `/h`", "20/s"),
    "count": ("an integer from 1", "100"),
}
"""How each kind of quantity is written, and an example. A unit is never left out."""

SECTIONS = (
    Section("Top level", "", ()),
    Section("`server`", "server", ("server",)),
    Section("`server.tls`", "tls", ("server", "tls")),
    Section("`log`", "log", ("log",)),
    Section("`issuers.NAME`", "issuer", ("issuers", "corp")),
    Section("`issuers.NAME.logout`", "logout", ("issuers", "corp", "logout")),
    Section("`limits`", "limits", ("limits",)),
    Section("`namespaces./NAME`", "namespace", ("namespaces", "/chat")),
    Section('`rooms."TEMPLATE"`', "room", ("namespaces", "/chat", "rooms", "project:{project}")),
    Section(
        "`params.NAME`",
        "param",
        ("namespaces", "/chat", "rooms", "project:{project}", "params", "project"),
    ),
    Section(
        "`events.NAME`",
        "event",
        ("namespaces", "/chat", "rooms", "project:{project}", "events", "message"),
    ),
    Section(
        "`limits` of a room", "room_limits", ("namespaces", "/chat", "rooms", "project:{project}", "limits")
    ),
    Section("A rule", "rule", ("rules",)),
)
"""In the order of the page."""

BESIDE: Mapping[str, Mapping[str, Any]] = {
    "claim": {"contains": "staff"},
    "param": {"one_of": ["apollo", "zeus"]},
    "equals": {"claim": "tenant"},
    "one_of": {"claim": "tenant"},
    "matches": {"claim": "email"},
    "contains": {"claim": "roles"},
    "contains_any": {"claim": "roles"},
    "at_least": {"claim": "clearance"},
    "at_most": {"claim": "clearance"},
    "exists": {"claim": "suspended"},
    "is": {"claim": "banned_until"},
}
"""What stands beside a key in the example of a rule: a `claim` needs a test, and a test something to test."""


class Key(NamedTuple):
    """A key that can be written. `name` has dots where it stands within another key."""

    section: Section
    name: str
    option: Mapping[str, Any]
    required: bool

    @property
    def anchor(self) -> str:
        """The stable anchor of the key's entry."""
        return f"{self.section.definition}.{self.name}" if self.section.definition else self.name

    def example(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the keys that lead from the top of a file to the example, and the example."""
        *parents, last = self.name.split(".")
        value = self.option["examples"][0]
        if self.section.definition != "rule":
            return (*self.section.path, *parents), {last: value}
        rule = {**BESIDE.get(last, {}), last: value}
        return ("rules",), {"example": dict(sorted(rule.items(), key=lambda item: item[0] not in _SUBJECTS))}


_SUBJECTS = ("claim", "param")


def page() -> str:
    """Return the page of every key."""
    schema = bundled_schema()
    return join_page(_lines(schema))


def keys(schema: Mapping[str, Any]) -> Iterator[Key]:
    """Yield every key that can be written, in the order of the page."""
    for section in SECTIONS:
        definition = schema["$defs"][section.definition] if section.definition else schema
        yield from _keys_of(section, definition, "")


def _keys_of(section: Section, definition: Mapping[str, Any], prefix: str) -> Iterator[Key]:
    required = definition.get("required", ())
    for name, option in definition["properties"].items():
        if "not" not in option:  # such a key is named in the schema only to refuse it with a reason
            yield Key(section, prefix + name, option, name in required)
            if "properties" in option:
                yield from _keys_of(section, option, f"{prefix}{name}.")


def _lines(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Every key of the file, with its type, its default and an example. `compartmentd schema` prints"
    yield "the JSON Schema that this page is made from; editors that know it complete and check the keys"
    yield "while you write."
    section = None
    for key in keys(schema):
        if key.section is not section:
            section = key.section
            yield from ("", heading(2, section.title, section.definition or "top-level"))
            if section.definition in INTRODUCTIONS:
                yield from ("", INTRODUCTIONS[section.definition])
        yield from ("", *_entry(key, schema["$defs"]))

    yield from ("", heading(2, "Quantities", "quantities"), "")
    yield "A unit is never left out. Where `unlimited` is possible, the key says so."
    yield ""
    rows = [[unit, written, code(example)] for unit, (written, example) in QUANTITIES.items()]
    yield from table(["kind", "written as", "example"], rows)
    yield from ("", heading(2, "Forms", "forms"), "")
    forms = [part["x-form"] for name, part in schema["$defs"].items() if "x-form" in part and name != "rule"]
    yield from table(["what", "write"], [[form["what"], form["write"]] for form in forms])


def _entry(key: Key, definitions: Mapping[str, Any]) -> Iterator[str]:
    yield heading(3, code(key.name), key.anchor)
    yield ""
    yield _facts(key, definitions)
    yield ""
    yield str(key.option["description"])
    yield ""
    yield "```yaml"
    yield from _block(key)
    yield "```"


def _facts(key: Key, definitions: Mapping[str, Any]) -> str:
    facts = [_type_of(key.option, definitions)]
    if key.required:
        facts.append("required")
    default = key.option.get("default", "")
    if default != "":
        facts.append(f"default {code(flow(default))}")
    if "x-form" in key.option:
        facts.append(str(key.option["x-form"]["write"]))
    return " · ".join(facts)


_PLURALS = {
    "string": "strings",
    "address": "[addresses](#forms)",
    "origin": "[origins](#forms)",
    "network": "[proxies](#forms)",
    "tenant": "[tenants](#forms)",
}


def _type_of(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return what is written at a key, in a few words."""
    name = option.get("$ref", "").removeprefix("#/$defs/")
    target = definitions.get(name, option)
    if "x-unit" in target:
        return f"[{target['x-unit']}](#quantities)" + (" or `unlimited`" if target["x-unlimited"] else "")
    if "const" in option:
        return code(flow(option["const"]))
    if "enum" in option:
        return codes(option["enum"])
    if name:
        return _NAMES.get(name, str(name).replace("_", " "))
    kinds = option.get("type", "mapping")
    return " or ".join(_kind(kind, option) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _kind(kind: str, option: Mapping[str, Any]) -> str:
    if kind == "array":
        items = option.get("items", {})
        if "enum" in items:
            return f"list of {codes(items['enum'])}"
        name = items.get("$ref", items.get("type", ""))
        name = name.removeprefix("#/$defs/") if isinstance(name, str) else ""
        return f"list of {_PLURALS[name]}" if name in _PLURALS else "list"
    return "mapping" if kind == "object" else kind


_NAMES = {
    "rules": "mapping of names to rules",
    "namespaces": "mapping of names to namespaces",
    "events": "list of names, or mapping of names to settings",
    "server": "mapping",
    "limits": "mapping",
    "namespace_limits": "mapping",
    "room_limits": "mapping",
    "log": "mapping",
    "tls": "mapping",
    "logout": "mapping",
    "url": "[URL](#forms)",
}
"""The types of definitions whose own name says less."""


def _block(key: Key) -> Iterator[str]:
    """Yield the example as YAML: a line for each key that leads to it, and one for each of its own."""
    path, example = key.example()
    for depth, name in enumerate(path):
        yield f"{'  ' * depth}{flow(name)}:"
    for name, value in example.items():
        yield f"{'  ' * len(path)}{flow(name)}: {flow(value)}"
