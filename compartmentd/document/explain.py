"""Errors of the schema validator as problems that a person understands; one mistake gives one problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jsonschema.exceptions import ValidationError

from compartmentd.document import units
from compartmentd.document.nearest import nearest
from compartmentd.document.patterns import compiled
from compartmentd.document.yamldoc import Node
from compartmentd.problems import Problem, Span

_KINDS: Mapping[str, str] = {
    "object": "a mapping", "array": "a list", "string": "text", "boolean": "`true` or `false`",
    "integer": "an integer", "number": "a number",
}  # fmt: skip

_CHOICES = ("anyOf", "oneOf", "maxProperties", "minProperties")
_STRUCTURE = frozenset({"additionalProperties", "required", *_CHOICES})


class Fault(NamedTuple):
    """A keyword of the schema that a value does not satisfy."""

    node: Node
    name: str
    keyword: str
    wanted: Any
    schema: Mapping[str, Any]


def explain(node: Node, path: Sequence[str | int], errors: Iterable[ValidationError]) -> list[Problem]:
    """Return the problems of one value, and mark as broken what must not be looked at again."""
    name = _called(path)
    about_keys: list[Problem] = []
    faults: list[Fault] = []
    for error in errors:
        if "propertyNames" in error.absolute_schema_path:
            about_keys += _bad_name(node, error)
        else:
            faults.append(Fault(node, name, str(error.validator), error.validator_value, error.schema))  # type: ignore[arg-type]  # no schema of ours is `false`
    values = sorted(
        (f for f in faults if f.keyword not in _STRUCTURE), key=lambda fault: _ORDER.index(fault.keyword)
    )
    if values:
        node.broken = True
        return [_of_value(values[0])]
    return [*about_keys, *_of_structure(node, faults)]


def _called(path: Sequence[str | int]) -> str:
    if not path:
        return "the file"
    return f"`{path[-1]}`" if isinstance(path[-1], str) else f"item {path[-1] + 1}"


# --- values -------------------------------------------------------------------------------------------------


def _of_value(fault: Fault) -> Problem:
    if "x-not-built" in fault.schema:
        return _not_built(fault)
    if "x-refused" in fault.schema:
        return Problem(
            "error", "schema.not-here", fault.schema["x-refused"], fault.node.key_span, "remove it here"
        )
    if fault.node.data is None:
        return _empty(fault)
    if "x-unit" in fault.schema:
        return _quantity(fault)
    return _EXPLAIN[fault.keyword](fault)


def _not_built(fault: Fault) -> Problem:
    told = (
        fault.node.data
        if isinstance(fault.wanted, Mapping) and "const" in fault.wanted
        else fault.name.strip("`")
    )
    message = f"`{told}` is not built yet, so it cannot be used"
    return Problem("error", "schema.not-built", message, fault.node.key_span, "leave it out until it is")


def _empty(fault: Fault) -> Problem:
    message = f"{fault.name} is empty"
    return Problem(
        "error", "schema.empty", message, fault.node.key_span, f"{_wanted(fault)}, or leave it out"
    )


def _wanted(fault: Fault) -> str:
    if "x-unit" in fault.schema:
        return units.form(fault.schema["x-unit"], unlimited=fault.schema["x-unlimited"])
    if "x-form" in fault.schema:
        return f"write {fault.schema['x-form']['write']}"
    return f"write {_either(fault.wanted)}" if fault.keyword == "type" else "write a value"


def _quantity(fault: Fault) -> Problem:
    unit: units.Unit = fault.schema["x-unit"]
    article = {"size": "a size", "duration": "a duration", "rate": "a rate", "count": "a count"}[unit]
    meant = units.suggestion(fault.node.data, unit)
    help_ = units.form(unit, unlimited=fault.schema["x-unlimited"])
    if meant is not None:
        help_ = f"did you mean `{meant}`? {help_}"
    return _problem(fault, f"schema.{unit}", f"{_shown(fault.node.data)} is not {article}", help_)


def _type(fault: Fault) -> Problem:
    if "x-form" in fault.schema:
        return _form(fault)
    message = f"{fault.name} must be {_either(fault.wanted)}, not {_kind(fault.node.data)}"
    return _problem(fault, "schema.type", message, _conversion(fault))


def _conversion(fault: Fault) -> str:
    """Return how a value of the wrong type becomes one of the right type, where that is plain."""
    data, wanted = fault.node.data, [fault.wanted] if isinstance(fault.wanted, str) else fault.wanted
    if isinstance(data, dict):
        if "string" in wanted and list(data.values()) == [None]:
            return f'placeholders need quotes: "{{{_bare(*data)}}}"'
        return "write a list: begin each item with `-`" if "array" in wanted else ""
    if isinstance(data, list):
        return ""
    if "string" in wanted:
        return f'write it in quotes: "{_bare(data)}"'
    if "array" in wanted:
        return f"write a list: [{_bare(data)}]"
    if "boolean" in wanted:
        return "write `true` or `false`, without quotes"
    return "write a number, without quotes" if {"integer", "number"} & set(wanted) else ""


def _enum(fault: Fault) -> Problem:
    if "x-form" in fault.schema:
        return _form(fault)
    known = ", ".join(f"`{word}`" for word in fault.wanted)
    return _problem(
        fault, "schema.value", f"{_shown(fault.node.data)} is not one of {known}", _did_you_mean(fault)
    )


def _form(fault: Fault) -> Problem:
    told = fault.schema["x-form"]
    message = f"{_shown(fault.node.data)} is not {told['what']}"
    help_ = _quotes(fault) or f"write {told['write']}"
    return _problem(fault, "schema.form", message, " ".join(filter(None, (_did_you_mean(fault), help_))))


def _quotes(fault: Fault) -> str:
    """Return the help for a number or boolean that only lacks quotes to have the right form."""
    data, pattern = fault.node.data, fault.schema.get("pattern", "")
    only_type = fault.keyword == "type" and fault.wanted == "string" and isinstance(data, int | float)
    return (
        f'write it in quotes: "{_bare(data)}"' if only_type and compiled(pattern).search(_bare(data)) else ""
    )


def _did_you_mean(fault: Fault) -> str:
    if fault.keyword != "enum" or not isinstance(fault.node.data, str):
        return ""
    near = nearest(fault.node.data, fault.wanted)
    return "" if near is None else f"did you mean `{near}`?"


def _const(fault: Fault) -> Problem:
    return _problem(
        fault,
        "schema.value",
        f"{fault.name} must be {_shown(fault.wanted)}",
        f"write {fault.name.strip('`')}: {_bare(fault.wanted)}",
    )


def _bound(fault: Fault) -> Problem:
    side = "at least" if fault.keyword == "minimum" else "at most"
    return _problem(fault, "schema.range", f"{fault.name} must be {side} {fault.wanted}", "")


def _too_short(fault: Fault) -> Problem:
    if fault.keyword == "minItems":
        return _problem(fault, "schema.empty", f"{fault.name} is an empty list", "write at least one item")
    return _problem(fault, "schema.empty", f"{fault.name} is empty", "write at least one character")


def _too_long(fault: Fault) -> Problem:
    return _problem(fault, "schema.range", f"{fault.name} is longer than {fault.wanted} characters", "")


def _twice(fault: Fault) -> Problem:
    seen: list[Any] = []
    for item in fault.node.items:
        if item.data in seen:
            return Problem(
                "error",
                "schema.twice",
                f"{_shown(item.data)} stands in the list twice",
                item.span,
                "remove one of them",
            )
        seen.append(item.data)
    return _problem(fault, "schema.twice", f"{fault.name} holds a value twice", "remove one of them")


def _problem(fault: Fault, code: str, message: str, help_: str) -> Problem:
    return Problem("error", code, message, fault.node.span, help_)


_EXPLAIN: Mapping[str, Callable[[Fault], Problem]] = {
    "type": _type,
    "not": _not_built,
    "const": _const,
    "enum": _enum,
    "pattern": _form,
    "minLength": _too_short,
    "minItems": _too_short,
    "minimum": _bound,
    "maximum": _bound,
    "maxLength": _too_long,
    "uniqueItems": _twice,
}
"""INVARIANT: every keyword of our schema that speaks of a value is here (held by a test)."""

_ORDER = tuple(_EXPLAIN)
"""Of several faults of one value the first here is told: without the right type the others mean nothing."""


# --- keys ---------------------------------------------------------------------------------------------------


def _bad_name(parent: Node, error: ValidationError) -> Iterator[Problem]:
    child = parent.fields[str(error.instance)]
    if child.broken:
        return
    child.broken = True
    schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]  # no schema of ours is `false`
    told = schema.get("x-form", {"what": "a name", "write": "at least one character"})
    yield Problem(
        "error",
        "schema.name",
        f"{_shown(error.instance)} is not {told['what']}",
        child.key_span,
        f"write {told['write']}",
    )


def _of_structure(node: Node, faults: Sequence[Fault]) -> Iterator[Problem]:
    unknown = [
        pair for fault in faults if fault.keyword == "additionalProperties" for pair in _unknown_keys(fault)
    ]
    yield from (problem for problem, _ in unknown)
    for fault in faults:
        if fault.keyword == "required":
            # A key that was misspelt is not missing as well.
            yield from _missing(fault, {near for _, near in unknown})
    yield from _of_choice(
        node, [fault for fault in faults if fault.keyword in _CHOICES], misspelt=bool(unknown)
    )


def _of_choice(node: Node, faults: Sequence[Fault], *, misspelt: bool) -> Iterator[Problem]:
    # A test without a claim is told as that, not as a rule without a kind: `anyOf` comes first.
    for fault in sorted(faults, key=lambda fault: _CHOICES.index(fault.keyword))[:1]:
        node.broken = True
        if _present(fault) or not (misspelt or node.holed or _holds_unbuilt(fault)):
            yield _choice(fault)


def _holds_unbuilt(fault: Fault) -> bool:
    # What is not built yet, a preset for one, may well have brought what is missing.
    return any("x-not-built" in _properties(fault).get(key, {}) for key in fault.node.fields)


def _unknown_keys(fault: Fault) -> Iterator[tuple[Problem, str]]:
    known = _usable_keys(fault.schema["properties"])
    for key, child in fault.node.fields.items():
        if key not in fault.schema["properties"] and not child.broken:
            child.broken = True
            near = nearest(key, known)
            help_ = (
                f"did you mean `{near}`?"
                if near
                else f"known here are {', '.join(map('`{}`'.format, known))}"
            )
            problem = Problem(
                "error", "schema.unknown-key", f"unknown key {_shown(key)}", child.key_span, help_
            )
            yield problem, near or ""


def _usable_keys(properties: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, schema in properties.items() if not schema.keys() & {"x-refused", "x-not-built"}]


def _missing(fault: Fault, meant: set[str]) -> Iterator[Problem]:
    about = fault.schema.get("x-about", {})
    for key in fault.wanted:
        if key not in fault.node.fields and key not in meant and not fault.node.holed:
            where = fault.node.key_span if fault.node.key_mark else _beginning(fault.node)
            yield Problem("error", "schema.missing", f"{fault.name} lacks `{key}`", where, about.get(key, ""))


def _beginning(node: Node) -> Span:
    line, column = node.mark[:2]
    return Span(node.file, line, column, line, column)


def _options(fault: Fault) -> list[str]:
    if fault.keyword in ("oneOf", "anyOf"):
        return [name for branch in fault.wanted for name in branch.get("required", ())]
    return list(fault.schema.get("properties", ()))


def _present(fault: Fault) -> list[str]:
    return [key for key in fault.node.fields if key in _options(fault)]


def _choice(fault: Fault) -> Problem:
    told = fault.schema.get("x-choice", {"what": "key", "write": "write at least one"})
    where = fault.node.key_span if fault.node.key_mark else fault.node.span
    present = _present(fault)
    if present:
        message = f"more than one {told['what']}: {' and '.join(f'`{key}`' for key in present)}"
        return Problem("error", "schema.choice", message, where, told["write"])
    unusable = set(_properties(fault)) - set(_usable_keys(_properties(fault)))
    built = [name for name in _options(fault) if name not in unusable]
    help_ = f"{told['write']}: {', '.join(f'`{name}`' for name in built)}"
    return Problem("error", "schema.choice", f"{fault.name} lacks a {told['what']}", where, help_)


def _properties(fault: Fault) -> Mapping[str, Any]:
    found: Mapping[str, Any] = fault.schema.get("properties", {})
    return found


# --- words --------------------------------------------------------------------------------------------------


def _either(kinds: str | Sequence[str]) -> str:
    *most, last = [_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return f"{', '.join(most)} or {last}" if most else last


def _kind(data: Any) -> str:
    if isinstance(data, dict):
        return "a mapping"
    if isinstance(data, list):
        return "a list"
    return "text" if isinstance(data, str) else f"`{_bare(data)}`"


def _shown(data: Any) -> str:
    return (
        _kind(data) if isinstance(data, dict | list) else f"`{_bare(data)}`" if data != "" else "empty text"
    )


def _bare(data: Any) -> str:
    if isinstance(data, bool):
        return str(data).lower()
    text = str(data)
    return text if len(text) <= 80 else f"{text[:77]}..."
