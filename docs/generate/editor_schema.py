"""Makes the JSON Schema for editors from the configuration's own: what `compartmentd schema` prints.

The configuration's schema is written for the checker, which explains each problem in words of its own. An editor
knows nothing of our annotations, so this one

- is of draft 7, which every editor reads;
- has no key that is not built or may not stand there, so that none is offered;
- has no `default`, which editors write out as soon as a mapping is completed; the description says it instead;
- gives each kind of rule an alternative of its own, with the tests in those that take one;
- has the message that is to be shown, as `errorMessage` and `patternErrorMessage` (of yaml-language-server and
  VS Code; other editors ignore them).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED, schema
from compartmentd.document.units import describe_form

Part: TypeAlias = dict[str, Any]

IDENTITIES = {name: f"urn:compartmentd:{name.removesuffix('.json')}:1" for name in (EDITOR, EDITOR_INCLUDED)}
"""`$id` of each schema: it names the grammar and its version, and is no address, since nothing is fetched."""

_DROPPED = {"$schema", "$defs", "default", "allOf", "oneOf", "anyOf", "dependentSchemas", "maxProperties"}
_UNUSABLE = {"x-not-built", "x-refused"}


def page() -> str:
    """Return the schema of a main file as text."""
    return _build_text(EDITOR, _convert({key: value for key, value in schema().items() if key != "$defs"}))


def included_page() -> str:
    """Return the schema of an included file as text."""
    return _build_text(EDITOR_INCLUDED, _convert(schema()["$defs"]["included"]))


def _build_text(name: str, root: Part) -> str:
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": IDENTITIES[name]}
    definitions = {
        key: _convert_rule(part) if key == "rule" else _convert(part)
        for key, part in schema()["$defs"].items()
        if key not in {"included", "one_test", "of_something"}
    }
    used = _find_used(root, definitions)
    kept = {key: part for key, part in definitions.items() if key in used}
    return json.dumps({**head, **root, "definitions": kept}, indent=2, ensure_ascii=False) + "\n"


def _find_used(root: Part, definitions: Mapping[str, Part]) -> set[str]:
    used: set[str] = set()
    waiting = [root]
    while waiting:
        new = set(_find_references(waiting.pop())) - used
        used |= new
        waiting += [definitions[name] for name in new]
    return used


def _find_references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _find_references(item)
    elif isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for item in value.values():
            yield from _find_references(item)


# --- one part -------------------------------------------------------------------------------------------------


def _convert(part: Part) -> Part:
    new = {key: value for key, value in part.items() if key not in _DROPPED and not key.startswith("x-")}
    if "$ref" in part:
        new["$ref"] = part["$ref"].replace("$defs", "definitions")
    if "description" in part:
        new |= _describe(part)
    if "examples" in part:
        new["examples"] = [example for example in part["examples"] if not isinstance(example, dict | list)]
    if "properties" in part:
        new["properties"] = _convert_properties(part["properties"])
    for keyword in ("items", "propertyNames", "additionalProperties"):
        if isinstance(part.get(keyword), dict):
            new[keyword] = _convert(part[keyword])
    if "enum" in part:
        new["enum"] = [value for value in part["enum"] if value not in _find_unbuilt_values(part)]
    message = _find_message(part)
    if message:
        new["patternErrorMessage"] = message
    if message and "properties" not in part:  # there it would be shown for an unknown key
        new["errorMessage"] = message
    if choices := _build_choices(part):
        new["allOf"] = choices
    return new


def _describe(part: Part) -> Part:
    text = part["description"]
    if "default" in part:
        text = f"{text}\n\nDefault: `{_write(part['default'])}`."
    return {"description": text, "markdownDescription": text}


def _convert_properties(properties: Mapping[str, Part]) -> Part:
    return {key: _convert(part) for key, part in properties.items() if not _UNUSABLE & part.keys()}


def _find_unbuilt_values(part: Part) -> set[str]:
    return {item["not"]["const"] for item in part.get("allOf", ()) if item.get("x-not-built")}


def _leave_out_annotations(part: Part) -> Part:
    return {key: value for key, value in part.items() if not key.startswith("x-")}


def _find_message(part: Part) -> str:
    if "x-form" in part:
        return f"this is not {part['x-form']['what']}: write {part['x-form']['write']}"
    if "x-unit" in part:
        return describe_form(part["x-unit"], unlimited=part["x-unlimited"])
    return ""


def _build_choices(part: Part) -> list[Part]:
    """Return for each key of a choice of one the condition that it excludes the others, with our message."""
    if "x-choice" not in part:
        return []
    if part.get("maxProperties") == 1:
        names = list(part["properties"])
    else:
        names = [name for branch in part.get("oneOf", ()) for name in branch.get("required", ())]
    what, write = part["x-choice"]["what"], part["x-choice"]["write"]
    return [
        {
            "if": {"required": [name]},
            "then": {
                "properties": dict.fromkeys(_leave_out(names, name), False),
                "errorMessage": f"more than one {what}: {write}",
            },
        }
        for name in names
        if len(names) > 1
    ]


def _write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- rules ----------------------------------------------------------------------------------------------------


def _convert_rule(part: Part) -> Part:
    properties = _convert_properties(part["properties"])
    kinds = [name for branch in part["oneOf"] for name in branch.get("required", ()) if name in properties]
    tested = {
        kind
        for kind, needed in part["dependentSchemas"].items()
        if needed["$ref"].endswith("/one_test") and kind in properties
    }
    tests = [name for name in properties if name not in kinds]
    words = {"title": "word", "type": "string", **_leave_out_annotations(part["then"])}
    return {
        **_describe(part),
        "anyOf": [
            {**words, "errorMessage": _find_message(part)},
            *(_build_kind(properties, kind, tests if kind in tested else ()) for kind in kinds),
        ],
    }


def _build_kind(properties: Part, kind: str, tests: Sequence[str]) -> Part:
    """Return the alternative of one kind of rule, with the tests of which it takes one."""
    new = {
        "title": kind,
        "type": "object",
        "required": [kind],
        "properties": {name: properties[name] for name in (kind, *tests)},
        "additionalProperties": False,
        "errorMessage": "a rule has exactly one kind; `{all: [...]}` and `{any: [...]}` join several",
    }
    if not tests:
        return new
    message = f"`{kind}` has exactly one test beside it: {', '.join(f'`{test}`' for test in tests)}"
    # What is named with `false` is marked with the message: the kind where no test stands, else the other tests.
    without = {"not": {"anyOf": [{"required": [test]} for test in tests]}}
    conditions = [(without, [kind]), *(({"required": [test]}, _leave_out(tests, test)) for test in tests)]
    choices = [
        {"if": condition, "then": {"properties": dict.fromkeys(names, False), "errorMessage": message}}
        for condition, names in conditions
    ]
    return {**new, "errorMessage": message, "allOf": choices}


def _leave_out(names: Sequence[str], left: str) -> list[str]:
    return [name for name in names if name != left]
