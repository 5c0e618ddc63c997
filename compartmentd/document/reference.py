"""The reference of every key, as Markdown, made from the JSON Schema: what an option is stands there.

`python -m compartmentd.document.reference` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from compartmentd.document.bundled import schema as bundled_schema

SECTIONS = {
    "Top level": "",
    "`server`": "server",
    "`server.tls`": "tls",
    "`log`": "log",
    "`issuers.NAME`": "issuer",
    "`logout` of an issuer": "logout",
    "`namespaces./NAME`": "namespace",
    '`rooms."TEMPLATE"`': "room",
    "`params.NAME`": "param",
    "`events.NAME`": "event",
    "`limits`": "limits",
    "`limits` of a room": "room_limits",
    "A rule": "rule",
}
"""The headings, each with the definition that stands under it; the schema itself is the empty name."""

UNITS = {"size": "64KiB", "duration": "30s", "rate": "20/s", "count": "100"}
"""An example of each kind of quantity."""


def is_built(option: dict[str, Any]) -> bool:
    """Tell whether a key can be written, or only names what is refused with its reason."""
    return "not" not in option


def kind(option: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return what is written at a key, in a word or two."""
    name = option.get("$ref", "").removeprefix("#/$defs/")
    target = definitions.get(name, option)
    if "x-unit" in target:
        unit = target["x-unit"]
        return f"{unit}, `{UNITS[unit]}`" + (" or `unlimited`" if target["x-unlimited"] else "")
    if "const" in option:
        return f"`{option['const']}`"
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if name:
        return str(name).replace("_", " ")
    written = option.get("type", "mapping")
    return " or ".join(written) if isinstance(written, list) else written


def default(option: dict[str, Any]) -> str:
    """Return the default as it would be written."""
    if "default" not in option:
        return ""
    value = option["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value != "" else ""


def section(definition: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """Yield the table of one definition."""
    required = set(definition.get("required", ()))
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for key, option in definition["properties"].items():
        if is_built(option):
            cells = [
                f"`{key}`" + (" (required)" if key in required else ""),
                kind(option, definitions),
                default(option),
                option["description"],
            ]
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def reference(schema: dict[str, Any]) -> str:
    """Return the whole page."""
    definitions = schema["$defs"]
    lines = ["# Every key", "", "Generated from `schemas/` by `make schema-docs`.", ""]
    for heading, name in SECTIONS.items():
        definition = definitions[name] if name else schema
        lines += [f"## {heading}", "", *section(definition, definitions), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(reference(bundled_schema()), end="")  # noqa: T201 - printing is what it is for
